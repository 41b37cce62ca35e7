"""What an int8 network must answer, bit for bit: grids, lowering, alignment, the reference. No torch."""
