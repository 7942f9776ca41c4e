//go:build unix

package vault_test

import "testing"

func replicasMintOnce(t *testing.T, db database)       {}
func leaseIsLost(t *testing.T, db database)            {}
func cutConnections(t *testing.T, db database)         {}
func outage(t *testing.T, db database)                 {}
func endedSessions(t *testing.T, db database)          {}
func serverRefusals(t *testing.T, db database)         {}
func nothingInClearOnServer(t *testing.T, db database) {}
