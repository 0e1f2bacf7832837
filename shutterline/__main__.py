"""`python -m shutterline` is the installed command `shutterline`."""

from shutterline.app import main

main()
