package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bankauth/openapi"
)

// crowds are how many further providers are described.
var crowds = []int{0, 1, 10, 100}

// startGrowth compares what a provider beyond ten costs a start with what one
// of the first ten does.
func (b *bench) startGrowth() (result, error) {
	r, ms, err := b.growth(func(c *child, began time.Time) (time.Duration, error) {
		err := c.listed(handshake + list)
		return time.Since(began), err
	})
	if err == nil {
		r.Server = (ms[3] - ms[2]) / 90 / ((ms[2] - ms[0]) / 10)
	}
	return r, err
}

// listGrowth compares a tools/list with a hundred further providers with one
// with ten, once the server has started.
func (b *bench) listGrowth() (result, error) {
	r, ms, err := b.growth(func(c *child, _ time.Time) (time.Duration, error) {
		if err := c.listed(handshake + list); err != nil {
			return 0, err
		}
		began := time.Now()
		for range 20 {
			if err := c.listed(list); err != nil {
				return 0, err
			}
		}
		return time.Since(began) / 20, nil
	})
	if err == nil {
		r.Server = ms[3] / ms[2]
	}
	return r, err
}

// growth measures with each crowd, in milliseconds.
func (b *bench) growth(measure func(c *child, began time.Time) (time.Duration, error)) (r result, ms []float64, err error) {
	var sides []side
	folders := map[string]string{}
	for _, n := range crowds {
		dir, err := b.banks(n)
		if err != nil {
			return r, nil, err
		}
		s := side{fmt.Sprintf("%d further", n), b.server.path, b.server.args}
		folders[s.name] = dir
		sides = append(sides, s)
	}
	f, err := b.turns(sides, func(s side) (float64, error) {
		env := append(b.environment(), "BANKAUTH_PROVIDER_DIR="+folders[s.name])
		began := time.Now()
		c, err := spawn(env, s.path, s.args...)
		if err != nil {
			return 0, err
		}
		defer c.stop()
		took, err := measure(c, began)
		return took.Seconds() * 1000, err
	})
	if err != nil {
		return r, nil, err
	}
	r.Details = map[string]any{}
	for i, s := range sides {
		ms = append(ms, median(f[i]))
		r.Details["ms with "+s.name] = ms[i]
	}
	return r, ms, nil
}

// listed sends requests, the last of which is a tools/list, and waits for
// their answers, in whichever order they come.
func (c *child) listed(requests string) error {
	if _, err := c.in.Write([]byte(requests)); err != nil {
		return fmt.Errorf("sending tools/list: %w", err)
	}
	for range strings.Count(requests, `"id"`) {
		line, err := c.out.ReadSlice('\n')
		if err != nil || !bytes.Contains(line, []byte(`"result"`)) {
			return fmt.Errorf("waiting for tools/list: %w %.300s", err, line)
		}
	}
	return nil
}

// banks describes n further providers in a folder: Flinks under other names.
func (b *bench) banks(n int) (string, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("providers-%d", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	for _, name := range []string{"flinks.yaml", "flinks.overlay.yaml"} {
		text, err := openapi.Files.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading Flinks: %w", err)
		}
		for i := range n {
			bank := fmt.Sprintf("bank-%d", i)
			path := filepath.Join(dir, bank+name[len("flinks"):])
			if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("name: flinks"), []byte("name: "+bank)), 0o600); err != nil {
				return "", fmt.Errorf("writing %q: %w", bank, err)
			}
		}
	}
	return dir, nil
}
