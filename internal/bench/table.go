package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// result is what a row came to. Floor and Ratio are 0 where there are none.
type result struct {
	Row     string         `json:"row"`
	What    string         `json:"what"`
	Unit    string         `json:"unit,omitempty"`
	Server  float64        `json:"server"`
	Floor   float64        `json:"floor,omitempty"`
	Ratio   float64        `json:"ratio,omitempty"`
	Bar     string         `json:"bar"`
	Met     bool           `json:"met"`
	Exact   bool           `json:"exact,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

func median(f []float64) float64 {
	if len(f) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(f))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// compare takes the first side's figures as the server's and the second's as
// the floor's. The ratio is that of two turns next to each other.
func compare(f [][]float64, err error) (result, error) {
	if err != nil {
		return result{}, err
	}
	r := result{Server: median(f[0]), Floor: median(f[1])}
	var ratios []float64
	for i := range f[0] {
		if f[1][i] != 0 {
			ratios = append(ratios, f[0][i]/f[1][i])
		}
	}
	r.Ratio = median(ratios)
	return r, nil
}

// judged holds r against the bar of its row.
func (r result) judged(by row) result {
	r.Row, r.What, r.Unit, r.Exact = by.name, by.what, by.unit, by.exact
	figure, times := r.Server, ""
	if by.ratio {
		figure, times = r.Ratio, "× floor"
	}
	sign := "≤"
	r.Met = figure <= by.bar
	if by.atLeast {
		sign, r.Met = "≥", figure >= by.bar
	}
	r.Bar = fmt.Sprintf("%s %s %s", sign, number(by.bar), times)
	return r
}

func table(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "row\twhat\tserver\tfloor\tratio\tbar\t\t")
	for _, r := range results {
		met := "met"
		if !r.Met {
			met = "MISSED"
		}
		ratio := ""
		if r.Ratio != 0 {
			ratio = number(r.Ratio)
		}
		fmt.Fprintf(t, "%s\t%s, %s\t%s\t%s\t%s\t%s\t%s\t\n", r.Row, r.What, r.Unit, number(r.Server), number(r.Floor), ratio, r.Bar, met)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, k := range slices.Sorted(keys(r.Details)) {
			fmt.Fprintf(w, "  %s: %s %v\n", r.Row, k, detail(r.Details[k]))
		}
	}
	return nil
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func detail(v any) any {
	if f, ok := v.(float64); ok {
		return number(f)
	}
	return v
}

// number writes f with three digits or all before the point.
func number(f float64) string {
	if f == 0 || math.Abs(f) >= 100 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}
