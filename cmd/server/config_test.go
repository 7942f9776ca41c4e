package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/config"
	"bankauth/internal/hosts"
)

// Hosts hand on little by themselves: whatever a server over stdio reads must
// stand in the block of every host, once it is set.
func TestConfigPassesEverySetting(t *testing.T) {
	ofHTTP := []string{"HTTP", "Who may call"}
	values := map[string]string{"BANKAUTH_PROVIDERS": "flinks", "FLINKS_BASE_URL": "http://127.0.0.1:1", "BANKAUTH_CONSENT_LISTEN": "127.0.0.1:8722",
		"BANKAUTH_SIMULATE": "true", "BANKAUTH_PROVIDER_DIR": t.TempDir()}
	for _, row := range config.Table() {
		if slices.Contains(ofHTTP, row.Group) || strings.HasPrefix(row.Variable, "BANKAUTH_VAULT_NEW_KEY") {
			continue
		}
		variable := strings.Replace(row.Variable, "<PROVIDER>", "FLINKS", 1)
		value := "canary"
		if len(row.Values) > 0 {
			value = row.Values[len(row.Values)-1]
		}
		if v, ok := values[variable]; ok {
			value = v
		}
		blockHas(t, variable, value, row.Secret)
		if row.File {
			blockHas(t, variable+"_FILE", "/canary", false)
		}
	}
}

func blockHas(t *testing.T, variable, value string, secret bool) {
	t.Helper()
	for _, host := range hosts.Names() {
		var out, errw bytes.Buffer
		if code := run(context.Background(), []string{"config", host}, []string{"HOME=/nobody", variable + "=" + value}, strings.NewReader(""), &out, &errw); code != exitOK {
			t.Errorf("%s for %s: %s", variable, host, errw.String())
		}
		if !strings.Contains(out.String(), variable) && (variable != "BANKAUTH_SIMULATE" || !strings.Contains(out.String(), "--simulate")) {
			t.Errorf("%s is not in the block for %s:\n%s", variable, host, out.String())
		}
		if secret && strings.Contains(out.String(), value) {
			t.Errorf("the value of %s is in the block for %s:\n%s", variable, host, out.String())
		}
	}
}
