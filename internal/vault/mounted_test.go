//go:build unix

package vault

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMounted: what root has put there for us may be read by our group, by
// nobody else, and written by neither. Another user's file is refused.
func TestMounted(t *testing.T) {
	const nobody, another = 65534, 65533
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone can act as another user")
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "key")
	for _, c := range []struct {
		owner int
		mode  os.FileMode
		taken bool
	}{
		{0, 0o400, true}, {0, 0o600, true}, {0, 0o440, true}, {0, 0o640, true},
		{0, 0o444, false}, {0, 0o644, false}, {0, 0o660, false}, {0, 0o650, false}, {0, 0o602, false}, {0, 0o601, false},
		{nobody, 0o600, true}, {nobody, 0o640, false}, {nobody, 0o604, false}, {another, 0o600, false}, {another, 0o640, false},
	} {
		_ = os.Remove(path)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, c.owner, nobody); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Seteuid(nobody); err != nil {
			t.Fatal(err)
		}
		there, err := mounted("the key", "where", path)
		if err := syscall.Seteuid(0); err != nil {
			t.Fatal(err)
		}
		if !there || (err == nil) != c.taken {
			t.Errorf("of user %d with mode %v: %v %v, want it taken: %v", c.owner, c.mode, there, err, c.taken)
		}
	}
}
