// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package exposure

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// askTimeout bounds one question to a neighbour, and maxAnswer what is read of
// its answer.
const (
	askTimeout = 3 * time.Second
	maxAnswer  = 64 << 10
)

// ports that go without saying.
var ports = map[string]string{"http": "80", "https": "443", "elasticsearch": "9200", "redis": "6379", "rediss": "6379", "postgres": "5432",
	"mongodb": "27017", "memcached": "11211", "etcd": "2379", "docker": "2375"}

// CheckNeighbour says why an address cannot be asked, nil if it can. It is a
// URL without credentials, of the scheme http, https, elasticsearch, redis,
// rediss, postgres, mongodb, memcached, etcd or docker.
func CheckNeighbour(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("not a URL with a host")
	case ports[u.Scheme] == "":
		return errors.New("not of a scheme that can be asked: http, https, elasticsearch, redis, rediss, postgres, mongodb, memcached, etcd, docker")
	case u.User != nil:
		return errors.New("holds credentials: only what a stranger sees is asked for")
	}
	return nil
}

// Ask puts one harmless question to a neighbour as a stranger would, and tells
// whether it was answered. A neighbour that does not answer at all is not open.
func Ask(ctx context.Context, address string) Neighbour {
	n := Neighbour{Name: address}
	u, err := url.Parse(address)
	if err != nil || CheckNeighbour(address) != nil {
		return Neighbour{Name: "a neighbour"}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	switch u.Scheme {
	case "http", "https":
		n.Kind = "HTTP"
		askHTTP(ctx, http.MethodGet, u.String(), "", &n)
	case "elasticsearch":
		n.Kind = "Elasticsearch"
		askHTTP(ctx, http.MethodGet, "http://"+hostPort(u)+u.EscapedPath(), "", &n)
	case "etcd":
		// Its version is for everybody; whether it holds a key that nobody makes
		// is only for those who may read. The number is asked for, and no value.
		n.Kind = "etcd"
		askHTTP(ctx, http.MethodPost, "http://"+hostPort(u)+"/v3/kv/range", `{"key":"AA==","count_only":true}`, &n)
	case "docker":
		n.Kind = "Docker"
		askHTTP(ctx, http.MethodGet, "http://"+hostPort(u)+"/version", "", &n)
	case "redis", "rediss":
		n.Kind = "Redis"
		n.Open = askRedis(ctx, hostPort(u), u.Scheme == "rediss")
		n.What = "PING"
	case "postgres":
		n.Kind = "PostgreSQL"
		n.Open = AskPostgres(ctx, hostPort(u), "postgres")
		n.What = "trust"
	case "mongodb":
		n.Kind = "MongoDB"
		n.Open = askMongo(ctx, hostPort(u))
		n.What = "listDatabases"
	default:
		n.Kind = "memcached"
		n.Open = askLine(ctx, hostPort(u), "stats\r\n", "STAT ")
		n.What = "stats"
	}
	return n
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// askHTTP asks one address. A redirect is not followed: it leads to the page
// where a stranger is asked who they are. net/http's client is not used, since
// it logs what a server says unasked, and a neighbour has no place in our log.
func askHTTP(ctx context.Context, method, target, body string, n *Neighbour) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Close = true
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	c, err := dial(ctx, hostPort(req.URL), req.URL.Scheme == "https")
	if err != nil {
		return
	}
	defer c.Close()
	if err := req.Write(c); err != nil {
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxAnswer)), req)
	if err != nil {
		return
	}
	answer, _ := io.ReadAll(resp.Body)
	n.Open, n.What = resp.StatusCode >= 200 && resp.StatusCode < 300, strconv.Itoa(resp.StatusCode)
	if strings.Contains(string(answer), `"cluster_name"`) || strings.Contains(string(answer), "You Know, for Search") {
		n.Kind = "Elasticsearch"
	}
}

func dial(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if secure {
		// Whose certificate it is does not matter to a question that any stranger
		// may ask; nothing of ours is sent.
		host, _, _ := net.SplitHostPort(addr)                                       // it was dialled
		t := tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true}) //nolint:gosec // see above
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return t, nil
	}
	return c, nil
}

func askRedis(ctx context.Context, addr string, secure bool) bool {
	c, err := dial(ctx, addr, secure)
	if err != nil {
		return false
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return false
	}
	line, _ := bufio.NewReader(io.LimitReader(c, maxAnswer)).ReadString('\n')
	return strings.HasPrefix(line, "+PONG")
}

// AskRedis tells whether Redis answers who gives no password.
func AskRedis(ctx context.Context, addr string, secure bool) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return askRedis(ctx, addr, secure)
}

func askLine(ctx context.Context, addr, question, answer string) bool {
	c, err := dial(ctx, addr, false)
	if err != nil {
		return false
	}
	defer c.Close()
	if _, err := io.WriteString(c, question); err != nil {
		return false
	}
	line, _ := bufio.NewReader(io.LimitReader(c, maxAnswer)).ReadString('\n')
	return strings.HasPrefix(line, answer)
}

// AskPostgres tells whether PostgreSQL lets a role in that gives no password:
// it sends the start-up message (protocol 3.0) and reads one answer, which is
// AuthenticationOk only where no proof is asked for.
func AskPostgres(ctx context.Context, addr, role string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := dial(ctx, addr, false)
	if err != nil {
		return false
	}
	defer c.Close()
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, s := range []string{"user", role, "database", "postgres"} {
		body = append(append(body, s...), 0)
	}
	body = append(body, 0)
	message := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	if _, err := c.Write(message); err != nil {
		return false
	}
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return false
	}
	return head[0] == 'R' && binary.BigEndian.Uint32(head[5:]) == 0
}

// askMongo asks for the list of data bases (OP_MSG), which needs authentication
// wherever it is switched on.
func askMongo(ctx context.Context, addr string) bool {
	c, err := dial(ctx, addr, false)
	if err != nil {
		return false
	}
	defer c.Close()
	doc := []byte("\x10listDatabases\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00")
	doc = append(binary.LittleEndian.AppendUint32(nil, uint32(len(doc)+4)), doc...)
	body := append([]byte{0, 0, 0, 0, 0}, doc...) // flags, section kind 0
	head := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	head = append(head, "\x01\x00\x00\x00\x00\x00\x00\x00"...)
	head = binary.LittleEndian.AppendUint32(head, 2013)
	if _, err := c.Write(append(head, body...)); err != nil {
		return false
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return false
	}
	n := min(int64(binary.LittleEndian.Uint32(size[:])), maxAnswer)
	answer, _ := io.ReadAll(io.LimitReader(c, n-int64(len(size))))
	// The array of that name (BSON type 4) is in an answer, and in no refusal.
	return strings.Contains(string(answer), "\x04databases\x00")
}
