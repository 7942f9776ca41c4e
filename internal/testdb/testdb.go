// Package testdb gives tests a real PostgreSQL, and a real PgBouncer before
// it, each a process that ends with the test. Where they are not installed
// the test is skipped; with CI=true it fails. Only tests import it.
package testdb
