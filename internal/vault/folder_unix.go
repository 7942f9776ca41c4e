//go:build unix

package vault

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ours reports that the file belongs to the user we act as.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// roots reports that the file belongs to root, who can read everything anyway.
func roots(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0
}

// open reports that group or world have any right to the file.
func open(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

func syncDirectory(d *os.File) error {
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing the vault's folder: %w", err)
	}
	return nil
}
