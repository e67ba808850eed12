"""Pure numbers: quantiles and their intervals, steadiness, stopping, racing. No files, no clocks."""
