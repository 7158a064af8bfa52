"""One loop, one bar, no set-up. Every process of this user can watch it: headway watch."""

import time

import headway


def main() -> None:
    total = 0
    for number in headway.track(range(300), label="squares", unit="number"):
        time.sleep(0.005)  # the work
        total += number * number
    print(f"the sum of the squares is {total}")


if __name__ == "__main__":
    main()
