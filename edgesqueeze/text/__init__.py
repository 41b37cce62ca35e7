"""How text is made for readers, and read: it knows no part of the package but its errors."""
