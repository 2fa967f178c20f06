// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// personal are a password, an account, a phone number, a Chinese identity
// number, a mail address and a name that are nobody's.
var personal = []string{"plaintext weasel 4 Qv underpass", "subject-7f3c-heron", "13987650412", "11010519491231002X", "heron.qx@mail.example", "欧阳苍鹭"}

// scanned looks for what is personal, in all its spellings.
type scanned struct {
	needles map[string]string // spelling to what it spells
	places  int
	hits    []string
}

func newScan(more ...string) *scanned {
	s := &scanned{needles: map[string]string{}}
	for _, p := range append(slices.Clone(personal), more...) {
		for _, f := range forms(p) {
			s.needles[f] = p
		}
	}
	return s
}

func (s *scanned) look(where string, b []byte) {
	s.places++
	for f, of := range s.needles {
		if i := bytes.Index(b, []byte(f)); i >= 0 {
			s.hits = append(s.hits, fmt.Sprintf("%s holds %q as %q: …%.80q", where, of, f, b[max(0, i-40):]))
		}
	}
}

func (s *scanned) walk(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		s.look(path, append([]byte(path+"\n"), b...))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// namedByOperators are methods that keep, by their purpose, the names and words that an
// operator gives.
var namedByOperators = []string{"AdminService/CreateKey", "AdminService/CreateTenant", "PolicyService/AddWords"}

// fill puts values into every text of a message, and of those within it.
func fill(m protoreflect.Message, next func() string, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		var v protoreflect.Value
		switch {
		case fd.IsMap() || fd.ContainingOneof() != nil && fd.Kind() == protoreflect.MessageKind && depth == 0:
			continue
		case fd.Kind() == protoreflect.StringKind:
			v = protoreflect.ValueOfString(next())
		case fd.Kind() == protoreflect.BytesKind:
			v = protoreflect.ValueOfBytes([]byte(next()))
		case fd.Kind() == protoreflect.MessageKind && depth > 0:
			sub := dynamicpb.NewMessage(fd.Message())
			fill(sub, next, depth-1)
			v = protoreflect.ValueOfMessage(sub)
		default:
			continue
		}
		if fd.IsList() {
			m.Mutable(fd).List().Append(v)
		} else {
			m.Set(fd, v)
		}
	}
}

// TestNothingPersonalIsKept drives every method with what is personal, in every
// text field, well-formed and not, and then looks for it where the server
// writes: data directory, event log, log, metrics, traces, temporary files and
// a backup that was restored.
func TestNothingPersonalIsKept(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	to := newCollector(t)
	s := servertest.Start(t, servertest.Options{Config: fmt.Sprintf("telemetry: {metrics_addr: \"127.0.0.1:0\", otlp_endpoint: %q}", to.url)})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)
	conn := dial(t, s)
	send := func(method string, m proto.Message) {
		t.Helper()
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/watchword.v1."+method)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SendMsg(m) // the answer tells of its end
		_ = stream.CloseSend()
		_ = stream.RecvMsg(&emptypb.Empty{})
	}
	drove := 0
	for _, full := range slices.Sorted(maps.Keys(s.Methods())) {
		method, own := strings.CutPrefix(full, "/watchword.v1.")
		if !own || slices.Contains(namedByOperators, method) || method == "LoginThrottleService/WatchSignals" {
			continue // the last takes no text, and answers for as long as it is asked
		}
		drove++
		for turn := range personal {
			i := turn
			m := dynamicpb.NewMessage(descriptor(t, method).Input())
			fill(m, func() string { i++; return personal[i%len(personal)] }, 2)
			send(method, m)
			if body, ok := good[method]; ok {
				for _, path := range textFields(request(t, method, body), nil) {
					send(method, with(t, method, body, path, personal[turn]))
				}
			}
		}
	}
	if drove < 40 {
		t.Fatalf("only %d methods were driven", drove)
	}

	about := client.Person{Login: personal[1], Emails: []string{personal[4]}, Names: []string{personal[5]}, Phones: []string{personal[2]}, Words: []string{personal[3]}}
	for _, subject := range personal[1:] {
		if _, err := s.Client.Set(t.Context(), subject, personal[0], client.SetOptions{CheckOptions: client.CheckOptions{Person: about}}); err != nil {
			t.Fatal(err)
		}
		for i, p := range []string{personal[0], personal[2], personal[3], personal[0] + "!"} {
			got, err := s.Client.Verify(t.Context(), subject, p, client.Source{IP: "203.0.113.77"})
			if err != nil || got.Match != (i == 0) {
				t.Fatal(got, err)
			}
		}
	}
	uploaded := createAudit(t, s, &watchwordv1.CreateAuditRequest{Locale: "zh-CN"})
	uploadPersonal(t, s, uploaded)
	own := createAudit(t, s, &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE})
	scan := newScan("203.0.113.77")
	scan.walk(t, s.DataDir) // while audits run
	for _, id := range []string{uploaded, own} {
		if a := waitAudit(t, s, id); a.GetState() != watchwordv1.Audit_STATE_DONE {
			t.Fatalf("audit: %v", a.GetState())
		}
		for _, f := range formats {
			report(t, s, id, f, "zh-CN")
		}
	}
	metrics := scrape(t, s)
	var backup bytes.Buffer
	if err := daemon.Backup(t.Context(), s.DataDir, nil, &backup); err != nil {
		t.Fatal(err)
	}
	restored := sister(t, s, "pepper.key", "signing.key")
	if err := daemon.Restore(t.Context(), restored, nil, filepath.Join(s.DataDir, "backup.key"), bytes.NewReader(backup.Bytes())); err != nil {
		t.Fatal(err)
	}
	s.Stop()

	scan.walk(t, s.DataDir)
	scan.walk(t, restored)
	scan.walk(t, temp)
	scan.look("the backup", backup.Bytes())
	scan.look("the metrics", []byte(metrics))
	scan.look("the traces", []byte(to.text()))
	log := s.Log.String()
	for line := range strings.Lines(log) {
		// The server's own peer addresses may stand there; what it was told may not.
		scan.look("the log", []byte(line))
	}
	for _, hit := range scan.hits {
		t.Error(hit)
	}
	if scan.places < 20 || len(to.spans()) < 500 || strings.Count(log, `"request"`) < 500 || !strings.Contains(metrics, "SetPassword") || backup.Len() < 1000 {
		t.Errorf("the scan saw too little: %d places, %d spans", scan.places, len(to.spans()))
	}
	t.Logf("%d methods driven; %d places, %d spans and %d lines of log scanned for %d spellings", drove, scan.places, len(to.spans()), strings.Count(log, "\n"), len(scan.needles))

	// The control: each spelling, planted, is found, and so is a file.
	for f, of := range scan.needles {
		control := newScan("203.0.113.77")
		control.look("a plant", []byte("before"+f+"after"))
		if len(control.hits) == 0 {
			t.Errorf("%q, planted as %q, is not found", of, f)
		}
	}
	for i := range 3 {
		planted := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + personal[0] + "y"))
		if err := os.WriteFile(filepath.Join(s.DataDir, "planted"), []byte(planted), 0o600); err != nil {
			t.Fatal(err)
		}
		control := newScan()
		control.walk(t, s.DataDir)
		if len(control.hits) != 1 {
			t.Errorf("a file with a password in base64 gives %d hits, want 1", len(control.hits))
		}
	}
}

// uploadPersonal uploads digests of what is personal, with people around them.
func uploadPersonal(t *testing.T, s *servertest.Server, id string) {
	t.Helper()
	var list []*watchwordv1.AuditRecord
	for _, p := range personal {
		list = append(list, &watchwordv1.AuditRecord{Id: p, Hash: ntlm(personal[2]), Context: &watchwordv1.PasswordContext{
			Login: personal[1], Emails: []string{personal[4]}, Names: []string{personal[5]}, Words: []string{personal[2], personal[3]}}})
	}
	if _, err := upload(t, s, id, 0, true, list...); err != nil {
		t.Fatal(err)
	}
}
