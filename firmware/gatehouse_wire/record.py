"""What all decoded messages are: a plain object that compares and prints by its fields."""


class Record:
    """Base of decoded messages; equal when class and every field are equal. Treat as read-only."""

    def __eq__(self, other):
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(repr(self))

    def __repr__(self):
        fields = sorted(self.__dict__.items())
        return "%s(%s)" % (
            type(self).__name__,
            ", ".join(["%s=%r" % (name, value) for name, value in fields]),
        )
