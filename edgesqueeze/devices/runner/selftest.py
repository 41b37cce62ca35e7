"""Does everything here answer as it did where it was made: python selftest.py."""

from edge import main, selftest

if __name__ == "__main__":
    main(selftest)
