//go:build unix

package vault_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	storeVariable    = "BANKAUTH_VAULT_TEST_STORE" // a server's address, where the suite is to use one
	databasePassword = "pass word/CANARY%"
)

// aboutFiles are the tests that look at SQLite's files, or at a vault that
// never lies in a database. All others run on PostgreSQL too.
var aboutFiles = []string{
	"TestOnPostgreSQL", "TestModel", "TestNothingInClear", "TestDefaultKeyFile", "TestEphemeral", "TestRefusals", "TestAnEmptyFolder", "TestOnlyTheKeyring",
	"TestRefusedAfterAKill", "TestDamage.*", "TestReadOnlyFolder", "TestSyncedBeforeSentAndBeforeSaid", "TestADiskThatFillsUpUnderAnAnswer",
	"TestNothingIsSentWhereNothingCanBeStored", "TestAStorePutBackIsNoticed", "TestRestoreWhereTheLiveOneIsOlder", "TestCost.*", "TestUpgrade.*",
	"TestNoAuditNoChange", "TestKeyring.*", // the first of these is said by a trigger in SQLite's words
}

// worded puts what tests do behind SQLite's back into PostgreSQL's words.
func worded(statement string) string {
	statement = regexp.MustCompile(`zeroblob\((\d+)\)`).ReplaceAllString(statement, `decode(repeat('00', $1), 'hex')`)
	return regexp.MustCompile(`\bx'([0-9a-f]*)'`).ReplaceAllString(statement, `decode('$1', 'hex')`)
}

// TestOnPostgreSQL runs what needs a server of its own, and the suite itself
// on it: once straight, once through a proxy that pools transactions.
func TestOnPostgreSQL(t *testing.T) {
	db := startPostgres(t)
	pooled := startPgBouncer(t, db)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, db database)
	}{
		{"suite", suiteOn}, {"replicas", replicasPostOnce}, {"a lease is lost", leaseIsLost}, {"cut connections", cutConnections},
		{"outage", outage}, {"ended sessions", endedSessions},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, db) })
		t.Run(c.name+", pooled", func(t *testing.T) { c.run(t, pooled) })
	}
	t.Run("refusals", func(t *testing.T) { serverRefusals(t, db) })
	t.Run("move", func(t *testing.T) { moveBetweenStores(t, db) })
	t.Run("nothing in clear", func(t *testing.T) { nothingInClearOnServer(t, db) })
}

// suiteOn runs this package's tests in a process of their own, with the store
// on the server.
func suiteOn(t *testing.T, db database) {
	cmd := exec.Command(os.Args[0], "-test.v", "-test.timeout=10m", "-test.run=^Test", "-test.skip=^("+strings.Join(aboutFiles, "|")+")$")
	cmd.Env = append(os.Environ(), storeVariable+"="+db.address(""))
	out, err := cmd.CombinedOutput()
	passed := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1))
	if err != nil || passed < 25 || strings.Contains(string(out), "--- SKIP") {
		t.Fatalf("%v, %d passed:\n%s", err, passed, out)
	}
	t.Logf("%d tests", passed)
}

// database is a server, or a proxy before it.
type database struct{ port int }

// address is of the database called name; "" for none.
func (d database) address(name string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("bankauth", databasePassword), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)), Path: "/" + name}
	return u.String()
}

// onServer is the address of the database that stands for a folder; "" where
// the suite is on SQLite.
func onServer(dir string) string {
	base := os.Getenv(storeVariable)
	if base == "" {
		return ""
	}
	return base + databaseFor(dir)
}

func databaseFor(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "t" + hex.EncodeToString(sum[:8])
}

// create makes a database, which the server forgets with the test.
func (d database) create(t testing.TB, name string) string {
	t.Helper()
	d.exec(t, "postgres", "CREATE DATABASE "+name)
	return d.address(name)
}

func (d database) exec(t testing.TB, name string, statements ...string) {
	t.Helper()
	execOn(t, d.address(name), statements...)
}

func execOn(t testing.TB, address string, statements ...string) {
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

// startPostgres starts a server that ends with the test.
func startPostgres(t *testing.T) database {
	t.Helper()
	initdb, err := newest("initdb")
	if err != nil {
		missing(t, "PostgreSQL: apt-get install postgresql")
	}
	dir := home(t)
	write(t, dir+"/password", databasePassword, 0o644)
	cmd := exec.Command(initdb, "-D", dir+"/data", "-U", "bankauth", "-A", "scram-sha-256", "--pwfile", dir+"/password", "--no-sync", "-E", "UTF8", "--locale", "C")
	cmd.SysProcAttr, cmd.Dir = notRoot(t), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := database{port: freePort(t)}
	service(t, dir, d, filepath.Join(filepath.Dir(initdb), "postgres"), "-D", dir+"/data", "-h", "127.0.0.1", "-p", strconv.Itoa(d.port), "-k", "",
		"-c", "max_connections=200", "-c", "shared_buffers=16MB", "-c", "log_min_messages=fatal")
	return d
}

func startPgBouncer(t *testing.T, behind database) database {
	t.Helper()
	pgbouncer, err := newest("pgbouncer")
	if err != nil {
		missing(t, "PgBouncer: apt-get install pgbouncer")
	}
	dir, d := home(t), database{port: freePort(t)}
	write(t, dir+"/users", `"bankauth" "`+databasePassword+`"`, 0o644)
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
`, behind.port, d.port, dir), 0o644)
	service(t, dir, d, pgbouncer, "-q", dir+"/ini")
	return d
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
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
func service(t *testing.T, dir string, d database, name string, args ...string) {
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
	db, err := sql.Open("pgx", d.address("postgres"))
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

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
