"""`python -m shutterline` is the installed command `shutterline`."""

from shutterline.app import main

if __name__ == "__main__":  # Processes of `shutterline api --processes` import this module, too.
    main()
