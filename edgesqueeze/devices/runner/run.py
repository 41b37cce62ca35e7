"""What the model says of an image: python run.py IMAGE."""

from edge import main, run

if __name__ == "__main__":
    main(run)
