"""What every other package uses; it uses none of them."""
