package transport

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// A refusal is an answer with a fixed body: nothing of the request comes back.
type refusal struct {
	status int
	body   string
}

// The refusals, in the order in which they are considered. The first two keep
// web pages out: a page's script can open a WebSocket to this machine, but not
// without naming its origin; and it can give its own name an address of this
// machine, but then that name is the host.
var (
	refuseOrigin   = &refusal{http.StatusForbidden, "requests from web pages are refused (Origin)"}
	refuseHost     = &refusal{http.StatusForbidden, "this host name is not allowed (Host)"}
	refusePath     = &refusal{http.StatusNotFound, "nothing here"}
	refuseMethod   = &refusal{http.StatusMethodNotAllowed, "only GET"}
	refusePlain    = &refusal{http.StatusUpgradeRequired, "this is a WebSocket endpoint of sync-directory"}
	refuseBody     = &refusal{http.StatusBadRequest, "a handshake has no body"}
	refuseProtocol = &refusal{http.StatusBadRequest, "the subprotocol must be " + Protocol}
	refuseNoToken  = &refusal{http.StatusForbidden, "this listener has no token"}
	refuseOpen     = &refusal{http.StatusForbidden, "this listener asks for a token and TLS inside the WebSocket"}
)

func (f *refusal) answer(w http.ResponseWriter) {
	switch f.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired:
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	answer(w, f.status, f.body)
}

// answer sends a fixed text and ends the connection: nobody who gets one has
// a second request that matters.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Connection", "close")
	http.Error(w, body, status)
}

// admission decides who may open a connection.
type admission struct {
	path      string
	anyHost   bool
	hosts     map[string]bool // lower case, without port
	inner     bool            // TLS inside the WebSocket can be had,
	onlyInner bool            // and nothing else
}

func newAdmission(opts *ServeOptions) *admission {
	a := &admission{path: opts.BasePath, anyHost: opts.AnyHost, hosts: map[string]bool{}, inner: opts.Inner != nil, onlyInner: opts.OnlyInner}
	for _, h := range opts.Hosts {
		a.hosts[hostName(h)] = true
	}
	return a
}

// atDoor refuses a request for anything at all, nil if it may ask.
func (a *admission) atDoor(r *http.Request) *refusal {
	if _, has := r.Header["Origin"]; has {
		return refuseOrigin
	}
	if !a.allowsHost(r) {
		return refuseHost
	}
	return nil
}

// forUpgrade refuses a request for a connection, or returns the subprotocol that
// it may have.
func (a *admission) forUpgrade(r *http.Request) (string, *refusal) {
	asked := r.Header["Sec-Websocket-Protocol"]
	switch inner := hasToken(asked, ProtocolTLS); {
	case !samePath(r.URL.Path, a.path):
		return "", refusePath
	case r.Method != http.MethodGet:
		return "", refuseMethod
	case !r.ProtoAtLeast(1, 1),
		!hasToken(r.Header["Upgrade"], "websocket"),
		!hasToken(r.Header["Connection"], "upgrade"):
		return "", refusePlain
	case r.ContentLength != 0:
		return "", refuseBody
	case inner && a.inner:
		return ProtocolTLS, nil
	case inner:
		return "", refuseNoToken
	case !hasToken(asked, Protocol):
		return "", refuseProtocol
	case a.onlyInner:
		return "", refuseOpen
	}
	return Protocol, nil
}

// allowsHost accepts what a web page cannot make its own name: loopback names
// and the address itself that the request came to.
func (a *admission) allowsHost(r *http.Request) bool {
	host := hostName(r.Host)
	if host == "" {
		return false
	}
	if a.anyHost || host == "localhost" || a.hosts[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap().WithZone("") == ip
}

// hostName returns a Host header's host in lower case, without port and
// brackets.
func hostName(host string) string {
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "" {
			return "" // no host: whoever takes a name apart does so in his own way
		}
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(host)
}

// hasToken reports whether a comma-separated header names a token.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(name, " \t"), token) {
				return true
			}
		}
	}
	return false
}
