"""What the HTTP faces of all programs share: errors, authentication, server-sent events, serving."""
