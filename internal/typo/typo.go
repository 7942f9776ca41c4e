// Package typo finds the word that somebody meant.
package typo

import "strings"

// Nearest returns the word that the fewest edits lead to from what was given,
// whatever the case, or "" where it takes more edits than most.
func Nearest(given string, words []string, most int) string {
	best, least := "", most+1
	for _, word := range words {
		if d := distance(strings.ToLower(given), strings.ToLower(word)); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance is Levenshtein's, on bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
