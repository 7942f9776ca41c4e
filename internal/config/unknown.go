package config

import (
	"slices"
	"strings"

	"bankauth/internal/typo"
)

// Unknown is a variable that looks like a setting and is none.
type Unknown struct {
	Name       string
	DidYouMean string // the setting with the nearest name; "" when none is near
}

// notSettings are variables under our prefix that we set for others.
var notSettings = []string{"BANKAUTH_ACCESS_TOKEN", "BANKAUTH_EGRESS_URL", "BANKAUTH_EGRESS_SOCKET"}

// Unknown returns the variables that begin with BANKAUTH_ or with one of the
// given providers' prefixes and that nobody reads; sorted by name.
func (e Environment) Unknown(providers []string) []Unknown {
	declared := Variables(providers)
	var unknown []Unknown
	for _, name := range e.names {
		if !ours(name, providers) || slices.Contains(declared, name) || slices.Contains(notSettings, name) {
			continue
		}
		unknown = append(unknown, Unknown{Name: name, DidYouMean: typo.Nearest(name, declared, len(name)/3-1)})
	}
	return unknown
}

func ours(name string, providers []string) bool {
	if strings.HasPrefix(name, "BANKAUTH_") {
		return true
	}
	return slices.ContainsFunc(providers, func(p string) bool { return strings.HasPrefix(name, Prefix(p)+"_") })
}
