"""`python -m sqe_fast` is `sqe`."""

from sqe_fast.cli.main import main

if __name__ == "__main__":
    main()
