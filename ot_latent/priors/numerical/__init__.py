"""Laws without a closed form, tabulated to ten digits in the bulk and in both tails."""
