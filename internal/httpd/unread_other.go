//go:build !unix

package httpd

import "net"

// unread is not known here.
func unread(net.Conn) bool { return false }
