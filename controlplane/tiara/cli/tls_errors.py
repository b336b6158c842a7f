# SPDX-License-Identifier: Apache-2.0
"""What gRPC says of a failed handshake, for people."""

# In this order: some of gRPC's words stand within others.
_REMEDIES = (
    ("certificate has expired", "the server's certificate has expired: it needs a new one there"),
    ("certificate is not yet valid", "the server's certificate is not valid yet: look at both clocks"),
    (
        "Hostname Verification Check failed",
        "the server's certificate is for another name: use one that it has in --server",
    ),
    (
        "is not in peer certificate",
        "the server's certificate is for another name: use one that it has in --server",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is of an authority that is not trusted here: give it by --tls-ca FILE",
    ),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: give --insecure if it is on this machine"),
    (
        "Socket closed",
        "it ended the connection: it wants TLS (leave --insecure away), or a client certificate "
        "(--tls-cert FILE --tls-key FILE)",
    ),
    ("Connection reset", "it ended the connection: it may want TLS, or a client certificate (--tls-cert)"),
)


def tls_remedy(details: str) -> str | None:
    """What is wrong and what to do; None: it is not about TLS."""
    return next((remedy for words, remedy in _REMEDIES if words in details), None)
