"""What commands do between the words of the command line and the functions below: open, call, put into words."""
