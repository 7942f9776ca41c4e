//go:build unix

package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// Password is that of the one role, bankauth.
const Password = "pass word/CANARY%"

// Server is a PostgreSQL, or a proxy before one, on 127.0.0.1.
type Server struct{ Port int }

// Address is of the database called name; "" for none.
func (d Server) Address(name string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("bankauth", Password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)), Path: "/" + name}
	return u.String()
}

// Create makes a database, which the server forgets with the test.
func (d Server) Create(t testing.TB, name string) string {
	t.Helper()
	d.Exec(t, "postgres", "CREATE DATABASE "+name)
	return d.Address(name)
}

// Exec runs statements in the database called name.
func (d Server) Exec(t testing.TB, name string, statements ...string) {
	t.Helper()
	Exec(t, d.Address(name), statements...)
}

// Exec runs statements in the database at address.
func Exec(t testing.TB, address string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", address+"?default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// Postgres starts a server that ends with the test. It does not wait for the
// disk: what it is told outlives its clients, and itself, but not the machine.
func Postgres(t *testing.T) Server {
	t.Helper()
	initdb, err := newest("initdb")
	if err != nil {
		missing(t, "PostgreSQL: apt-get install postgresql")
	}
	dir := home(t)
	write(t, dir+"/password", Password)
	cmd := exec.Command(initdb, "-D", dir+"/data", "-U", "bankauth", "-A", "scram-sha-256", "--pwfile", dir+"/password", "--no-sync", "-E", "UTF8", "--locale", "C")
	cmd.SysProcAttr, cmd.Dir = notRoot(t), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := Server{Port: FreePort(t)}
	service(t, dir, d, filepath.Join(filepath.Dir(initdb), "postgres"), "-D", dir+"/data", "-h", "127.0.0.1", "-p", strconv.Itoa(d.Port), "-k", "",
		"-c", "max_connections=200", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "log_min_messages=fatal")
	return d
}

// PgBouncer starts a proxy that pools transactions before a server, and ends
// with the test.
func PgBouncer(t *testing.T, behind Server) Server {
	t.Helper()
	pgbouncer, err := newest("pgbouncer")
	if err != nil {
		missing(t, "PgBouncer: apt-get install pgbouncer")
	}
	dir, d := home(t), Server{Port: FreePort(t)}
	write(t, dir+"/users", `"bankauth" "`+Password+`"`)
	write(t, dir+"/ini", fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = transaction
default_pool_size = 3
max_client_conn = 500
`, behind.Port, d.Port, dir))
	service(t, dir, d, pgbouncer, "-q", dir+"/ini")
	return d
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// newest finds a program on the path or where Debian puts it.
func newest(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if more, merr := filepath.Glob("/usr/sbin/" + program); merr == nil {
		found = append(found, more...)
	}
	if err != nil || len(found) == 0 {
		return "", errors.Join(exec.ErrNotFound, err)
	}
	return slices.Max(found), nil
}

// service runs a program until the test ends, and waits until it answers.
func service(t *testing.T, dir string, d Server, name string, args ...string) {
	t.Helper()
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = notRoot(t), dir, log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	})
	db, err := sql.Open("pgx", d.Address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err = db.PingContext(ctx)
		cancel()
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(dir + "/log")
	t.Fatalf("%s does not answer: %v\n%s", name, err, text)
}

// home is a folder of whoever the server runs as.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bankauth-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if as := notRoot(t); as != nil {
		if err := os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// notRoot is whom PostgreSQL, which refuses to be root, runs as.
func notRoot(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	as := &syscall.Credential{Uid: 65534, Gid: 65534}
	if u, err := user.Lookup("postgres"); err == nil {
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			t.Fatal(err)
		}
		as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return &syscall.SysProcAttr{Credential: as}
}

// FreePort returns a port of 127.0.0.1 on which nobody listens.
func FreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	// The server is another user, whatever the umask says.
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
}
