package config

import (
	"slices"
	"strings"
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
		unknown = append(unknown, Unknown{Name: name, DidYouMean: nearest(name, declared)})
	}
	return unknown
}

func ours(name string, providers []string) bool {
	if strings.HasPrefix(name, "BANKAUTH_") {
		return true
	}
	return slices.ContainsFunc(providers, func(p string) bool { return strings.HasPrefix(name, Prefix(p)+"_") })
}

// nearest returns the candidate that the fewest edits lead to, or "" when a
// third of the name would have to change.
func nearest(name string, candidates []string) string {
	best, edits := "", len(name)/3
	for _, candidate := range candidates {
		if d := distance(name, candidate); d < edits {
			best, edits = candidate, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
