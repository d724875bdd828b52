package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// ErrHeader says that a header field cannot go with a request for an upgrade.
var ErrHeader = errors.New("the header field cannot be sent")

// reserved are the fields that make the handshake, or say where it goes and how it
// is framed: with another value it would be another request, or two.
var reserved = map[string]string{
	"Host":                "it comes from the URL",
	"Origin":              "it is what a listener tells web pages by",
	"Connection":          "it is part of the handshake",
	"Upgrade":             "it is part of the handshake",
	"Keep-Alive":          "it is part of the handshake",
	"Expect":              "a handshake has no body",
	"Content-Length":      "a handshake has no body",
	"Transfer-Encoding":   "a handshake has no body",
	"Te":                  "a handshake has no body",
	"Trailer":             "a handshake has no body",
	"Proxy-Connection":    "it is for a proxy, which never sees this request",
	"Proxy-Authorization": "it is for a proxy: put user and password into the proxy's URL",
}

// checkFields accepts the fields that go with a request. Its errors leave out what may
// be secret: values, and a name that is none, which may be half of a value.
func checkFields(header http.Header) error {
	for name, values := range header {
		if !isToken(name) {
			return fmt.Errorf("%w: what stands before its colon is no name", ErrHeader)
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		why, ok := reserved[canonical]
		if strings.HasPrefix(canonical, "Sec-Websocket-") {
			why, ok = "it is part of the handshake", true
		}
		if ok {
			return fmt.Errorf("%w: %s: %s", ErrHeader, name, why)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("%w: the value of %s has a line break or another control character in it", ErrHeader, name)
			}
		}
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, as names of fields are.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
