package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// share writes the man page and the completions into dir, which it makes.
func share(dir string) error {
	for file, args := range map[string][]string{
		"bankauth.1": {"man"}, "bankauth.bash": {"completion", "bash"}, "_bankauth": {"completion", "zsh"}, "bankauth.fish": {"completion", "fish"},
	} {
		text, err := exec.Command("go", append([]string{"run", "./cmd/server"}, args...)...).Output()
		if err != nil {
			return fmt.Errorf("asking bankauth for %s: %w", file, err)
		}
		if err := write(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
