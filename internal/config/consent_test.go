package config_test

import (
	"testing"

	"bankauth/internal/config"
)

func TestConsentAddress(t *testing.T) {
	for _, c := range []struct {
		listen   string
		simulate bool
		want     string
		bad      bool
	}{
		{"", false, "127.0.0.1:8721", false}, {"", true, "", false}, {"127.0.0.1:9", true, "127.0.0.1:9", false}, {"localhost:0", false, "localhost:0", false},
		{"[::1]:80", false, "[::1]:80", false}, {"0.0.0.0:80", false, "", true}, {"192.0.2.1:80", false, "", true}, {":80", false, "", true}, {"127.0.0.1", false, "", true},
		{"127.0.0.1:http", false, "", true}, {"127.0.0.1:70000", false, "", true}, {"127.0.0.1:+8", false, "", true}, {"evil.example:80", false, "", true},
	} {
		got, err := config.Settings{ConsentListen: c.listen, Simulate: c.simulate}.ConsentAddress()
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %q %v", c.listen, got, err)
		}
	}
}
