package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bankauth/internal/hosts"
)

// printSizes writes a table of what each module adds to the release binary for
// linux/amd64: its functions and its data, and that with its share of the
// tables that Go's linker writes about all functions and types. The tables
// are more than half of the file; each module has as much of them as it has of
// the rest.
func printSizes(w io.Writer) error {
	dir, err := os.MkdirTemp("", "sizes")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bankauth")
	at := hosts.Platform{OS: "linux", Arch: "amd64"}
	if err := compile(at, program, "-w"); err != nil { // symbols are needed to tell
		return err
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	modules := []string{info.Main.Path}
	for _, m := range info.Deps {
		modules = append(modules, m.Path)
	}
	sums, err := symbolBytes(program, modules)
	if err != nil {
		return err
	}
	if err := compile(at, program, stripped); err != nil {
		return err
	}
	file, err := os.Stat(program)
	if err != nil {
		return err
	}
	all := int64(0)
	for _, n := range sums {
		all += n
	}
	row := func(n int64, name string) {
		fmt.Fprintf(w, "| %s | %s | %s |\n", megabytes(n), megabytes(n*file.Size()/all), name)
	}
	fmt.Fprintf(w, "| code and data | with its share of the tables | module |\n| ---: | ---: | --- |\n")
	small := int64(0)
	for _, name := range slices.SortedFunc(maps.Keys(sums), func(a, b string) int { return int(sums[b] - sums[a]) }) {
		if sums[name] < 50_000 {
			small += sums[name]
			continue
		}
		row(sums[name], name)
	}
	row(small, "all others, each below 0.05 MB")
	row(all, "**the binary, stripped**")
	return nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

// symbolBytes adds up the functions and data of each module. What belongs to
// none is Go's own.
func symbolBytes(program string, modules []string) (map[string]int64, error) {
	out, err := exec.Command("go", "tool", "nm", "-size", program).Output()
	if err != nil {
		return nil, fmt.Errorf("listing the symbols: %w", err)
	}
	// The longest path that fits is the module.
	slices.SortFunc(modules, func(a, b string) int { return len(b) - len(a) })
	sums := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // address, size, kind, name
		if len(f) < 4 || !strings.Contains("tTrR", f[2]) || table(f[3]) {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the size of %s: %w", f[3], err)
		}
		sums[moduleOf(f[3], modules)] += n
	}
	return sums, nil
}

// table reports whether the linker made the symbol about others.
func table(symbol string) bool {
	for _, prefix := range []string{"go:", "type:", "runtime.text", "runtime.etext", "runtime.pclntab", "runtime.findfunctab", "runtime.rodata", "runtime.erodata", "runtime.typelink", "runtime.types", "runtime.itablink"} {
		if strings.HasPrefix(symbol, prefix) {
			return true
		}
	}
	return false
}

func moduleOf(symbol string, modules []string) string {
	symbol = strings.ReplaceAll(symbol, "%2e", ".")
	for _, m := range modules {
		if rest, ok := strings.CutPrefix(symbol, m); ok && (rest == "" || rest[0] == '/' || rest[0] == '.') {
			return m
		}
	}
	return "Go and its standard library"
}
