"""Format durations and rates briefly."""


def clock_time(seconds: float) -> str:
    """A duration such as `0:42`, `12:05`, `3:04:59` or `2 d 3 h`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    minutes, seconds_left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds_left:02d}" if hours else f"{minutes}:{seconds_left:02d}"


def pace(per_second: float, unit: str = "") -> str:
    """A rate such as `12 a second` or `1.3 s each`; "" if the rate is 0."""
    if per_second <= 0:
        return ""
    if per_second >= 1:
        return f"{per_second:,.0f} {unit} a second".replace("  ", " ")
    seconds = 1 / per_second
    return f"{seconds:.1f} s each" if seconds < 60 else f"{clock_time(seconds)} each"
