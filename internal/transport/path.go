package transport

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBasePath says that a path cannot be the one that upgrades.
var ErrBasePath = errors.New("the base path cannot be used")

// CheckBasePath accepts what ServeOptions.BasePath may be. What one proxy or
// another takes for something else is refused: what has to be escaped, empty components
// and those of dots.
func CheckBasePath(path string) error {
	why := ""
	switch rest := strings.TrimSuffix(path, "/"); {
	case path == "" || path == "/":
	case path[0] != '/':
		why = "it must begin with /"
	case rest == health:
		why = "it is where load balancers ask"
	case strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-._~", r))
	}):
		why = "between its slashes it must consist of letters, digits and the four of -._~"
	default:
		for part := range strings.SplitSeq(rest[1:], "/") {
			if part == "" || part == "." || part == ".." {
				why = "it must not hold //, . or .. as a part"
			}
		}
	}
	if why != "" {
		return fmt.Errorf("%w: %s", ErrBasePath, why)
	}
	return nil
}

// samePath reports whether a request's path is the base path: a slash at the end of
// either makes no difference.
func samePath(path, base string) bool {
	return path != "" && strings.TrimSuffix(path, "/") == strings.TrimSuffix(base, "/")
}
