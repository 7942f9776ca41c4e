// Package simulator plays the three banks' APIs over real HTTP, as their
// documentation says they behave, so that a client written for the service
// works against it unchanged.
//
// Each provider has a port of its own and serves its paths unprefixed. What
// the documentation leaves open is a named field of Switches. Delays and
// faults can be set, and the truth (which tokens are alive, how often each was
// posted) can be read: in Go on a Bank, or over HTTP on the provider's port.
//
// # Over HTTP
//
// Below /_simulator/, which no provider uses. None of it prints a secret.
//
//	GET    /_simulator/truth      the Truth, as JSON
//	POST   /_simulator/fault      adds a Fault; Content-Type: application/json
//	DELETE /_simulator/fault      removes every fault and the delays
//	GET    /_simulator/fault      the faults that wait, as JSON
//	POST   /_simulator/delay      {"before":"5ms","after":"20ms"}
//	ANY    /_simulator/elsewhere  counts as a redirect that was followed; 204
//	POST   /_simulator/consent    the button of a consent page (a form)
//
// A fault in JSON, every member optional; durations are Go's ("250ms"):
//
//	{"tool":"refresh_token","method":"POST","path":"/oauth/refreshtoken",
//	 "grant":"refresh_token","skip":0,"times":1,
//	 "delay_before":"1s","drop_before":false,
//	 "commit":false,"delay_after":"1s","drop_after":false,"reset":false,
//	 "status":503,"code":"temporarily_unavailable","headers":{"Retry-After":"2"},
//	 "body":"…","body_base64":"…","pad":0,"truncate":0,"drip":"0s","raw_base64":"…"}
//
// # What it is not
//
// Signature headers of Fintecture are looked for where a switch says so, and
// never verified. There is no TLS. finAPI's password change, client
// configuration and Web Form are not served, nor are Fintecture's decoupled
// consent and payments, nor Flinks' recipient management.
package simulator
