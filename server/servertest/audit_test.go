// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is MD4 and nothing else
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

func audits(s *servertest.Server) watchwordv1.AuditServiceClient {
	return watchwordv1.NewAuditServiceClient(s.Client.Conn())
}

// auditClock is a clock that goes on by itself and can be put forward.
type auditClock struct{ ahead atomic.Int64 }

func (c *auditClock) now() time.Time      { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *auditClock) add(d time.Duration) { c.ahead.Add(int64(d)) }

func ntlm(s string) string {
	h := md4.New()
	for _, r := range s {
		h.Write([]byte{byte(r), byte(r >> 8)})
	}
	return "$NT$" + hex.EncodeToString(h.Sum(nil))
}

func sha(s string) string {
	sum := sha1.Sum([]byte(s))
	return "{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
}

func sha1Of(s string) []byte { sum := sha1.Sum([]byte(s)); return sum[:] }

// hashOf makes a hash at the cost of the server.
func hashOf(t *testing.T, s *servertest.Server, text string) string {
	t.Helper()
	r, err := watchwordv1.NewPasswordServiceClient(s.Client.Conn()).HashPassword(context.Background(), &watchwordv1.HashPasswordRequest{Password: text})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetPhc()
}

func createAudit(t *testing.T, s *servertest.Server, q *watchwordv1.CreateAuditRequest) string {
	t.Helper()
	if q.Source == 0 {
		q.Source = watchwordv1.CreateAuditRequest_SOURCE_UPLOAD
	}
	r, err := audits(s).CreateAudit(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r.GetAudit().GetId()
}

// upload sends records from an offset, and says that it was all if asked to.
func upload(t *testing.T, s *servertest.Server, id string, from int, complete bool, records ...*watchwordv1.AuditRecord) (*watchwordv1.UploadRecordsResponse, error) {
	t.Helper()
	stream, err := audits(s).UploadRecords(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if stream.Send(&watchwordv1.UploadRecordsRequest{AuditId: id, Offset: uint32(from + i), Record: r}) != nil {
			break
		}
	}
	if complete {
		_ = stream.Send(&watchwordv1.UploadRecordsRequest{AuditId: id, Offset: uint32(from + len(records)), Complete: true})
	}
	return stream.CloseAndRecv()
}

func waitAudit(t *testing.T, s *servertest.Server, id string) *watchwordv1.Audit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stream, err := audits(s).WatchAudit(ctx, &watchwordv1.WatchAuditRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	var last *watchwordv1.Audit
	for {
		m, err := stream.Recv()
		if err != nil {
			if last != nil && last.GetState() >= watchwordv1.Audit_STATE_DONE {
				return last
			}
			if status.Code(err) == codes.Unavailable && ctx.Err() == nil { // a database on a busy machine
				if stream, err = audits(s).WatchAudit(ctx, &watchwordv1.WatchAuditRequest{Id: id}); err == nil {
					continue
				}
			}
			t.Fatalf("watching: %v", err)
		}
		last = m.GetAudit()
	}
}

func allFindings(t *testing.T, s *servertest.Server, id string) []*watchwordv1.Finding {
	t.Helper()
	var out []*watchwordv1.Finding
	for token := ""; ; {
		r, err := audits(s).ListFindings(context.Background(), &watchwordv1.ListFindingsRequest{Id: id, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.GetFindings()...)
		if token = r.GetNextPageToken(); token == "" {
			return out
		}
	}
}

func kindsOf(list []*watchwordv1.Finding, id string) []string {
	var out []string
	for _, f := range list {
		if f.GetRecordId() == id {
			out = append(out, strings.TrimPrefix(f.GetKind().String(), "FINDING_KIND_"))
		}
	}
	return out
}

func report(t *testing.T, s *servertest.Server, id string, f watchwordv1.GetReportRequest_Format, locale string) []byte {
	t.Helper()
	r, err := audits(s).GetReport(context.Background(), &watchwordv1.GetReportRequest{Id: id, Format: f, Locale: locale})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetContent()
}

var formats = []watchwordv1.GetReportRequest_Format{watchwordv1.GetReportRequest_FORMAT_HTML, watchwordv1.GetReportRequest_FORMAT_JSON,
	watchwordv1.GetReportRequest_FORMAT_CSV, watchwordv1.GetReportRequest_FORMAT_SARIF}

// records are one of every finding, and the passwords that must show up nowhere.
func records(t *testing.T, s *servertest.Server) (list []*watchwordv1.AuditRecord, want map[string][]string, secrets []string) {
	long := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(-d)) }
	const day = 24 * time.Hour
	recent := long(day)
	canary := "Zq7vKaroEnd" + "xT"
	list = []*watchwordv1.AuditRecord{
		{Id: "weak", Hash: hashOf(t, s, "woaini1314"), LastChanged: recent},
		{Id: "u-zhang", Hash: hashOf(t, s, "zhangwei1990"), Context: &watchwordv1.PasswordContext{Login: "zw", Names: []string{"张伟"}, BirthDate: "1990-05-17"}},
		{Id: "u-org", Hash: hashOf(t, s, fmt.Sprintf("Contoso@%d", time.Now().UTC().Year())), Context: &watchwordv1.PasswordContext{Login: "zz9"}},
		{Id: "admin", Hash: hashOf(t, s, "admin")},
		{Id: "nt", Hash: ntlm("qwerty")},
		{Id: "blank", Hash: ntlm("")},
		{Id: "blanksalt", Hash: "{SSHA}" + base64.StdEncoding.EncodeToString(append(sha1Of("salt"), "salt"...))},
		{Id: "twin1", Hash: sha(canary)},
		{Id: "twin2", Hash: sha(canary)},
		{Id: "md5crypt", Hash: "$1$abcdefgh$G//4keteveJp0qb8z2DxG/"},
		{Id: "old", Hash: hashOf(t, s, canary+"o"), LastChanged: long(800 * day), LastLogin: long(120 * day)},
		{Id: "bad", Hash: "$argon2id$nonsense"},
		{Id: "fresh", Hash: hashOf(t, s, canary+"f"), Flags: []string{"never-changed"}},
		{Id: "pair1", Hash: hashOf(t, s, "iloveyou")},
		{Id: "pair2", Hash: hashOf(t, s, "iloveyou")},
		{Id: "plain", Password: "password123"},
		{Id: "plainok", Password: canary + "-p-8813"},
		{Id: "flag", Hash: hashOf(t, s, canary), Flags: []string{"no such flag"}},
		{Id: "=cmd|' /C calc'!A0", Hash: ntlm("123456")},
	}
	want = map[string][]string{
		"weak":     {"WEAK", "BELOW_FLOOR", "NO_PEPPER"},
		"u-zhang":  {"CONTEXT_DERIVED", "BELOW_FLOOR", "NO_PEPPER"},
		"u-org":    {"CONTEXT_DERIVED", "BELOW_FLOOR", "NO_PEPPER"},
		"admin":    {"DEFAULT_CREDENTIAL", "BELOW_FLOOR", "NO_PEPPER"},
		"nt":       {"WEAK", "LEGACY_HASH", "NO_PEPPER"},
		"twin1":    {"SHARED", "LEGACY_HASH", "NO_PEPPER"},
		"twin2":    {"SHARED", "LEGACY_HASH", "NO_PEPPER"},
		"blank":    {"WEAK", "SHARED", "LEGACY_HASH", "NO_PEPPER"},
		"md5crypt": {"WEAK", "LEGACY_HASH", "NO_PEPPER"},

		"blanksalt": {"WEAK", "SHARED", "LEGACY_HASH", "NO_PEPPER"},
		"old":       {"BELOW_FLOOR", "NO_PEPPER", "STALE", "DORMANT"},
		"bad":       {"MALFORMED"},
		"fresh":     {"BELOW_FLOOR", "NO_PEPPER", "NEVER_CHANGED"},
		"pair1":     {"WEAK", "SHARED", "BELOW_FLOOR", "NO_PEPPER"},
		"pair2":     {"WEAK", "SHARED", "BELOW_FLOOR", "NO_PEPPER"},
		"plain":     {"WEAK"},
		"plainok":   nil,
		"flag":      {"MALFORMED"},
	}
	return list, want, []string{canary, "woaini1314", "zhangwei1990", "Contoso@", "iloveyou", "password123"}
}

// Every kind of finding is made, and no password shows up anywhere: not in
// findings, reports, the log, or the data directory.
func TestAuditFindsAll(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	list, want, secrets := records(t, s)
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{Context: &watchwordv1.AuditContext{Words: []string{"Contoso"}}})
	r, err := upload(t, s, id, 0, true, list...)
	if err != nil {
		t.Fatal(err)
	}
	if r.GetNextOffset() != uint32(len(list)) || len(r.GetRejected()) != 2 || r.GetAccepted() != uint32(len(list))-2 {
		t.Errorf("upload: %v", r)
	}
	for i, x := range r.GetRejected() {
		if where := []uint32{11, 17}[i]; x.GetOffset() != where || x.GetReason() == "" {
			t.Errorf("rejected: %v, want offset %d", x, where)
		}
	}
	a := waitAudit(t, s, id)
	if a.GetState() != watchwordv1.Audit_STATE_DONE || a.GetRecordsDone() != uint32(len(list)) || a.GetRecordsTotal() != uint32(len(list)) {
		t.Errorf("audit: %v", a)
	}
	found := allFindings(t, s, id)
	for who, kinds := range want {
		if got := kindsOf(found, who); !slices.Equal(got, kinds) {
			t.Errorf("%s: %v, want %v", who, got, kinds)
		}
	}
	sum := 0
	for _, n := range a.GetFindingsByKind() {
		sum += int(n)
	}
	if sum != len(found) {
		t.Errorf("%d findings counted, %d listed", sum, len(found))
	}
	for _, f := range found {
		if f.GetSeverity() == 0 || f.GetRemedy() == "" || len(f.GetClauses()) == 0 && f.GetKind() != watchwordv1.FindingKind_FINDING_KIND_MALFORMED {
			t.Errorf("finding without severity, clause or remedy: %v", f)
		}
	}
	var shown bytes.Buffer
	for _, f := range found {
		shown.WriteString(f.String())
	}
	for _, f := range formats {
		for _, locale := range []string{"en", "zh-CN"} {
			shown.Write(report(t, s, id, f, locale))
		}
	}
	shown.WriteString(s.Log.String())
	s.Stop()
	for _, path := range files(t, s.DataDir) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
	}
	for _, secret := range secrets {
		if bytes.Contains(shown.Bytes(), []byte(secret)) {
			t.Errorf("a password shows up: %.4s…", secret)
		}
	}
	for _, line := range list { // ids and hashes are sealed, and the hashes gone
		if h := line.GetHash(); h != "" && bytes.Contains(shown.Bytes(), []byte(h)) {
			t.Errorf("the hash of %s shows up", line.GetId())
		}
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Two audits of the same records give the same bytes; ids are masked; no cell
// of the CSV is a formula.
func TestAuditReports(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	list, _, _ := records(t, s)
	ids := make([]string, 2)
	for i := range ids {
		ids[i] = createAudit(t, s, &watchwordv1.CreateAuditRequest{Budget: &watchwordv1.AuditBudget{GuessesPerSubject: 50}})
		if _, err := upload(t, s, ids[i], 0, true, list...); err != nil {
			t.Fatal(err)
		}
		waitAudit(t, s, ids[i])
	}
	for _, f := range formats {
		one, two := report(t, s, ids[0], f, "zh-CN"), report(t, s, ids[1], f, "zh-CN")
		if !bytes.Equal(one, two) {
			t.Errorf("%v: two audits of the same records differ", f)
		}
		if bytes.Contains(one, []byte("md5crypt\"")) || bytes.Contains(one, []byte("u-zhang")) {
			t.Errorf("%v: an id is not masked", f)
		}
	}
	text := string(report(t, s, ids[0], watchwordv1.GetReportRequest_FORMAT_CSV, "en"))
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\uFEFF"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	masked := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@|%\t\r", rune(cell[0])) {
				t.Errorf("a cell begins with a sign of a formula: %q", cell)
			}
		}
		if strings.HasPrefix(row[1], "'=") {
			masked++
		}
	}
	if masked == 0 {
		t.Error("the id that is a formula is not among the rows")
	}
	var doc map[string]any
	if err := json.Unmarshal(report(t, s, ids[0], watchwordv1.GetReportRequest_FORMAT_SARIF, "en"), &doc); err != nil || doc["version"] != "2.1.0" {
		t.Errorf("SARIF: %v, version %v", err, doc["version"])
	}
	page := string(report(t, s, ids[0], watchwordv1.GetReportRequest_FORMAT_HTML, "zh-CN"))
	for _, want := range []string{`lang="zh-CN"`, "<svg", "弱口令", "watchword-signature:v1:"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, from := range []string{"http://", "https://", "<script", "@import", "url("} {
		if strings.Contains(strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, ""), from) {
			t.Errorf("the page is not self-contained: %s", from)
		}
	}
}

// An upload goes on where it broke off: what was sent before is passed over,
// what is ahead is refused, and sending everything twice changes nothing.
func TestAuditUploadIsResumable(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	var list []*watchwordv1.AuditRecord
	for i := range 5000 {
		list = append(list, &watchwordv1.AuditRecord{Id: fmt.Sprintf("u%d", i), Hash: ntlm(fmt.Sprintf("%d", i%2500))})
	}
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{Budget: &watchwordv1.AuditBudget{GuessesPerSubject: 2}})
	r, err := upload(t, s, id, 0, false, list[:3100]...)
	if err != nil || r.GetNextOffset() != 3100 {
		t.Fatalf("first part: %v, %v", r, err)
	}
	if _, err := upload(t, s, id, 3200, false, list[3200]); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a gap: %v, want InvalidArgument", err)
	}
	if r, err = upload(t, s, id, 2000, false, list[2000:4000]...); err != nil || r.GetNextOffset() != 4000 || r.GetAccepted() != 900 {
		t.Errorf("overlapping part: %v, %v", r, err)
	}
	if r, err = upload(t, s, id, 0, true, list...); err != nil || r.GetNextOffset() != 5000 || r.GetAccepted() != 1000 {
		t.Errorf("all of it: %v, %v", r, err)
	}
	waitAudit(t, s, id)
	if r, err = upload(t, s, id, 0, true, list...); err != nil || r.GetAccepted() != 0 {
		t.Errorf("all of it again: %v, %v", r, err)
	}
	shared := 0
	seen := map[string]bool{}
	for _, f := range allFindings(t, s, id) {
		key := f.GetRecordId() + f.GetKind().String()
		if seen[key] {
			t.Fatalf("%s twice for %s", f.GetKind(), f.GetRecordId())
		}
		seen[key] = true
		if f.GetKind() == watchwordv1.FindingKind_FINDING_KIND_SHARED && f.GetAccounts() == 2 {
			shared++
		}
	}
	if shared != 5000 {
		t.Errorf("%d shared passwords, want 5000", shared)
	}
}

// Over REST a line that is no record is reported by its place, and skipped.
func TestAuditOverREST(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	code, body := s.Post("/v1/audits:create", `{"source":"SOURCE_UPLOAD","locale":"zh-CN"}`)
	var made struct{ Audit struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &made); code != http.StatusOK || err != nil {
		t.Fatalf("create: %d %s", code, body)
	}
	id := made.Audit.ID
	lines := strings.Join([]string{
		`{"auditId":"` + id + `","offset":0,"record":{"id":"a","hash":"` + ntlm("123456") + `"}}`,
		`{"auditId":"` + id + `","offset":1,"record":{"id":"b","hash":12345678}}`,
		`{"auditId":"` + id + `","offset":2,"record":{"id":"c","hash":"` + ntlm("x81jc0-aZ;Q") + `"}}`,
		`{"auditId":"` + id + `","offset":3,"complete":true}`,
	}, "\n")
	req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/audits:upload", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+s.Key)
	code, _, body = s.Do(req)
	if code != http.StatusOK || !strings.Contains(compact(body), `"nextOffset":3`) || !strings.Contains(compact(body), `"offset":1`) {
		t.Fatalf("upload: %d %s", code, body)
	}
	waitAudit(t, s, id)
	found := allFindings(t, s, id)
	if got := kindsOf(found, "a"); !slices.Contains(got, "WEAK") {
		t.Errorf("a: %v", got)
	}
	if got := kindsOf(found, ""); !slices.Equal(got, []string{"MALFORMED"}) {
		t.Errorf("the bad line: %v", got)
	}
	if code, body = s.Post("/v1/audits:report", `{"id":"`+id+`","format":"FORMAT_JSON"}`); code != http.StatusOK || !strings.Contains(body, "contentType") {
		t.Errorf("report: %d %s", code, body)
	}
	if code, _ = s.Post("/v1/audits:get", `{"id":"nothere"}`); code != http.StatusNotFound {
		t.Errorf("an unknown audit: %d", code)
	}
}

func compact(s string) string { return strings.ReplaceAll(s, " ", "") }

// The own store is walked without its names; well-known names are found all the
// same, and what is found can be marked.
func TestAuditOwnStore(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := context.Background()
	var rows []string
	for _, x := range [][2]string{{"admin", "admin"}, {"alice", "iloveyou"}, {"bob", "correct horse 8 stapler!"}, {"carol", "iloveyou"}} {
		rows = append(rows, fmt.Sprintf(`{"subject":%q,"phc":%q}`, x[0], hashOf(t, s, x[1])))
	}
	req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/credentials:import", strings.NewReader(strings.Join(rows, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+s.Key)
	if code, _, body := s.Do(req); code != http.StatusOK {
		t.Fatalf("import: %d %s", code, body)
	}
	own := &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE}
	id := createAudit(t, s, own)
	a := waitAudit(t, s, id)
	by := a.GetFindingsByKind()
	if by["WEAK"] != 2 || by["SHARED"] != 2 || by["DEFAULT_CREDENTIAL"] != 1 || by["NO_PEPPER"] != 0 {
		t.Errorf("findings: %v", by)
	}
	for _, f := range allFindings(t, s, id) {
		if strings.Contains(f.GetRecordId(), "a") && slices.Contains([]string{"admin", "alice", "carol"}, f.GetRecordId()) {
			t.Errorf("a name shows up: %v", f)
		}
	}
	q := &watchwordv1.ApplyRemediationRequest{Id: id, Kinds: []watchwordv1.FindingKind{watchwordv1.FindingKind_FINDING_KIND_WEAK},
		Action: watchwordv1.ApplyRemediationRequest_ACTION_MUST_CHANGE}
	for i, want := range []uint32{2, 0} {
		r, err := audits(s).ApplyRemediation(ctx, q)
		if err != nil || r.GetChanged() != want || r.GetChanged()+r.GetUnchanged() != 2 {
			t.Errorf("remediation %d: %v, %v", i, r, err)
		}
	}
	for who, state := range map[string]string{"alice": "MUST_CHANGE", "carol": "MUST_CHANGE", "bob": "ACTIVE", "admin": "ACTIVE"} {
		c, err := s.Client.Get(ctx, who)
		if err != nil || c.State != state {
			t.Errorf("%s: %v, %v, want %s", who, c.State, err, state)
		}
	}
	// The next audit tells what has changed.
	if err := s.Client.Delete(ctx, "carol"); err != nil {
		t.Fatal(err)
	}
	next := proto.Clone(own).(*watchwordv1.CreateAuditRequest)
	next.PreviousId = id
	d := waitAudit(t, s, createAudit(t, s, next)).GetDifference()
	if d.GetNew() != 0 || d.GetGoneByKind()["WEAK"] != 1 || d.GetGoneByKind()["SHARED"] != 2 {
		t.Errorf("difference: %v", d)
	}
	up := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	q.Id = up
	if _, err := audits(s).ApplyRemediation(ctx, q); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("remediation of an upload: %v", err)
	}
}

// A schedule makes the next audit when its time has come, compared with the one
// before, until it is cancelled.
func TestAuditRecurs(t *testing.T) {
	t.Parallel()
	clock := &auditClock{}
	s := servertest.Start(t, servertest.Options{Now: clock.now})
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE, Repeat: durationpb.New(24 * time.Hour)})
	waitAudit(t, s, id)
	list := func() []*watchwordv1.Audit {
		r, err := audits(s).ListAudits(context.Background(), &watchwordv1.ListAuditsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetAudits()
	}
	if n := len(list()); n != 1 {
		t.Fatalf("%d audits before the time", n)
	}
	clock.add(25 * time.Hour)
	var second *watchwordv1.Audit
	for end := time.Now().Add(20 * time.Second); second == nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if l := list(); len(l) == 2 && l[0].GetState() == watchwordv1.Audit_STATE_DONE {
			second = l[0]
		}
	}
	if second.GetPreviousId() != id || second.GetDifference() == nil {
		t.Fatalf("the second audit: %v", second)
	}
	if _, err := audits(s).CancelAudit(context.Background(), &watchwordv1.CancelAuditRequest{Id: second.GetId()}); err != nil {
		t.Fatal(err)
	}
	clock.add(25 * time.Hour)
	time.Sleep(3 * time.Second) // longer than the store is asked
	if n := len(list()); n != 2 {
		t.Errorf("%d audits after the schedule was cancelled", n)
	}
}

// A budget stops the guesses and not the audit; a cancelled one keeps what it
// has; nobody else's tenant sees either.
func TestAuditStops(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{ProductionCost: true})
	hash := hashOf(t, s, "no guess will ever be this one")
	var list []*watchwordv1.AuditRecord
	for i := range 30 {
		list = append(list, &watchwordv1.AuditRecord{Id: fmt.Sprintf("u%d", i), Hash: hash})
	}
	list = append(list, &watchwordv1.AuditRecord{Id: "cheap", Hash: ntlm("123456")})
	run := func(q *watchwordv1.CreateAuditRequest) string {
		id := createAudit(t, s, q)
		if _, err := upload(t, s, id, 0, true, list...); err != nil {
			t.Fatal(err)
		}
		return id
	}
	budget := run(&watchwordv1.CreateAuditRequest{Budget: &watchwordv1.AuditBudget{CpuSeconds: 1, GuessesPerSubject: 1000}})
	a := waitAudit(t, s, budget)
	if a.GetState() != watchwordv1.Audit_STATE_DONE || a.GetStopReason() != "CPU_BUDGET" || a.GetFindingsByKind()["WEAK"] != 1 || a.GetCpuSecondsUsed() > 4 || a.GetExpectedYield() <= 0 {
		t.Errorf("budget: %v", a)
	}
	if n := a.GetFindingsByKind()["BELOW_FLOOR"]; n != 0 {
		t.Errorf("%d hashes at production cost are below the floor", n)
	}
	deadline := run(&watchwordv1.CreateAuditRequest{Deadline: timestamppb.New(time.Now().Add(2 * time.Second))})
	if a := waitAudit(t, s, deadline); a.GetStopReason() != "DEADLINE" || a.GetState() != watchwordv1.Audit_STATE_DONE {
		t.Errorf("deadline: %v", a)
	}
	id := run(&watchwordv1.CreateAuditRequest{})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r, err := audits(s).GetAudit(context.Background(), &watchwordv1.GetAuditRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		if r.GetAudit().GetFindingsByKind()["WEAK"] == 1 {
			break
		}
	}
	if _, err := audits(s).GetReport(context.Background(), &watchwordv1.GetReportRequest{Id: id, Format: watchwordv1.GetReportRequest_FORMAT_JSON}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a report of an audit that runs: %v", err)
	}
	if _, err := audits(s).CancelAudit(context.Background(), &watchwordv1.CancelAuditRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if a := waitAudit(t, s, id); a.GetState() != watchwordv1.Audit_STATE_CANCELLED {
		t.Errorf("cancelled: %v", a)
	}
	report(t, s, id, watchwordv1.GetReportRequest_FORMAT_JSON, "")
	if got := kindsOf(allFindings(t, s, id), "cheap"); !slices.Contains(got, "WEAK") {
		t.Errorf("what was found before: %v", got)
	}
}

// Nobody reaches the audits of another tenant, nor one's own without the scope.
func TestAuditsAreOfOneTenant(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := context.Background()
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	_, foreign, err := s.Client.CreateKey(ctx, client.NewKey{Name: "auditor", Tenant: "other", Preset: "audit-admin"})
	if err != nil {
		t.Fatal(err)
	}
	_, reader, err := s.Client.CreateKey(ctx, client.NewKey{Name: "reader", Scopes: []string{"audit.read"}})
	if err != nil {
		t.Fatal(err)
	}
	other, own := s.ClientWith(foreign), s.ClientWith(reader)
	if _, err := other.Audit(ctx, id); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("get from another tenant: %v", err)
	}
	if _, err := other.CancelAudit(ctx, id); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("cancel from another tenant: %v", err)
	}
	if _, err := other.NextRecord(ctx, id); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("upload from another tenant: %v", err)
	}
	if list, err := other.Audits(ctx); err != nil || len(list) != 0 {
		t.Errorf("list of another tenant: %v, %v", list, err)
	}
	if _, err := own.CancelAudit(ctx, id); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("cancel without the scope: %v", err)
	}
	if a, err := own.Audit(ctx, id); err != nil || a.ID != id {
		t.Errorf("get with audit.read: %v, %v", a, err)
	}
}

// Servers of one store share an audit; when one stops, the others end it.
func TestServersShareAnAudit(t *testing.T) {
	t.Parallel()
	sharedStores(t, func(t *testing.T, store sharedStore) {
		a := servertest.Start(t, servertest.Options{Config: store.config})
		b := servertest.Start(t, servertest.Options{Config: store.config, DataDir: sister(t, a, "signing.key", "pepper.key", "admin.key")})
		weak, strong := hashOf(t, a, "iloveyou"), hashOf(t, a, "no guess will ever be this one")
		var list []*watchwordv1.AuditRecord
		for i := range 5000 {
			r := &watchwordv1.AuditRecord{Id: fmt.Sprintf("u%d", i), Hash: strong}
			if i%5 == 0 {
				r.Hash = weak
			}
			list = append(list, r)
		}
		id := createAudit(t, a, &watchwordv1.CreateAuditRequest{Budget: &watchwordv1.AuditBudget{GuessesPerSubject: 60}})
		if _, err := upload(t, a, id, 0, true, list...); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the first guesses", 30*time.Second, func() error {
			r, err := audits(b).GetAudit(context.Background(), &watchwordv1.GetAuditRequest{Id: id})
			if err == nil && r.GetAudit().GetGuesses() == 0 {
				err = errors.New("none")
			}
			return err
		})
		a.Stop()
		if got := waitAudit(t, b, id).GetFindingsByKind(); got["WEAK"] != 1000 || got["SHARED"] != 1000 || got["NO_PEPPER"] != 5000 {
			t.Errorf("findings: %v", got)
		}
	})
}

// auditEvents gives the events of an audit in their order, each with its
// outcome, and the parameters of the last of each type.
func auditEvents(t *testing.T, s *servertest.Server, id string) (list []string, params map[string]map[string]string) {
	t.Helper()
	params = map[string]map[string]string{}
	for token := ""; ; {
		r, err := watchwordv1.NewAdminServiceClient(s.Client.Conn()).ListEvents(context.Background(), &watchwordv1.ListEventsRequest{PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.GetEvents() {
			if e.GetParams()["audit"] == id {
				list = append(list, e.GetType()+" "+e.GetOutcome())
				params[e.GetType()] = e.GetParams()
			}
		}
		if token = r.GetNextPageToken(); token == "" {
			return list, params
		}
	}
}

// The event log tells who made an audit, when it started and ended, who read
// what was found, in which form, and what was done about it.
func TestAuditEvents(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	ctx := context.Background()
	set(t, s, "alice", goodPassword)
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE})
	waitAudit(t, s, id)
	allFindings(t, s, id)
	report(t, s, id, watchwordv1.GetReportRequest_FORMAT_SARIF, "en")
	if _, err := audits(s).ApplyRemediation(ctx, &watchwordv1.ApplyRemediationRequest{Id: id, Kinds: []watchwordv1.FindingKind{watchwordv1.FindingKind_FINDING_KIND_BELOW_FLOOR},
		Action: watchwordv1.ApplyRemediationRequest_ACTION_DISABLE}); err != nil {
		t.Fatal(err)
	}
	up := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	if _, err := upload(t, s, up, 0, false, &watchwordv1.AuditRecord{Id: "a", Hash: ntlm("123456")}); err != nil {
		t.Fatal(err)
	}
	if _, err := audits(s).CancelAudit(ctx, &watchwordv1.CancelAuditRequest{Id: up}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the events", 10*time.Second, func() error {
		list, params := auditEvents(t, s, id)
		for _, want := range []string{"audit.create OK", "audit.start OK", "audit.end DONE", "audit.findings OK", "audit.report OK", "audit.remediate OK"} {
			if !slices.Contains(list, want) {
				return fmt.Errorf("no %s in %v", want, list)
			}
		}
		for typ, want := range map[string][2]string{"audit.report": {"format", "FORMAT_SARIF"}, "audit.remediate": {"changed", "1"}, "audit.end": {"records", "1"}} {
			if got := params[typ][want[0]]; got != want[1] {
				return fmt.Errorf("%s has %s %q, want %q", typ, want[0], got, want[1])
			}
		}
		list, params = auditEvents(t, s, up)
		for _, want := range []string{"audit.create OK", "audit.upload OK", "audit.cancel OK", "audit.end CANCELLED"} {
			if !slices.Contains(list, want) {
				return fmt.Errorf("no %s in %v", want, list)
			}
		}
		if params["audit.upload"]["accepted"] != "1" || slices.Contains(list, "audit.start OK") {
			return fmt.Errorf("upload %v, all %v", params["audit.upload"], list)
		}
		return nil
	})
	// An id that is none goes into no event: it may be anything.
	if _, err := audits(s).GetReport(ctx, &watchwordv1.GetReportRequest{Id: "hunter2hunter2", Format: watchwordv1.GetReportRequest_FORMAT_CSV}); status.Code(err) != codes.NotFound {
		t.Errorf("report of an unknown audit: %v", err)
	}
	if list, _ := auditEvents(t, s, "hunter2hunter2"); len(list) > 0 {
		t.Errorf("an unknown id is in %v", list)
	}
}

// What has ended is dropped after its retention, with all its parts and an
// event, and an upload that never ended is cancelled; a schedule goes on.
func TestAuditRetention(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := &auditClock{}
	s := servertest.Start(t, servertest.Options{Now: clock.now})
	done := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	if _, err := upload(t, s, done, 0, true, &watchwordv1.AuditRecord{Id: "marked-record", Hash: ntlm("123456")}); err != nil {
		t.Fatal(err)
	}
	waitAudit(t, s, done)
	open := createAudit(t, s, &watchwordv1.CreateAuditRequest{})
	if _, err := upload(t, s, open, 0, false, &watchwordv1.AuditRecord{Id: "a", Hash: ntlm("123456")}); err != nil {
		t.Fatal(err)
	}
	scheduled := createAudit(t, s, &watchwordv1.CreateAuditRequest{Source: watchwordv1.CreateAuditRequest_SOURCE_OWN_STORE, Repeat: durationpb.New(1000 * time.Hour)})
	waitAudit(t, s, scheduled)
	eventually(t, "the ends", 10*time.Second, func() error {
		for _, id := range []string{done, scheduled} {
			if list, _ := auditEvents(t, s, id); !slices.Contains(list, "audit.end DONE") {
				return fmt.Errorf("%s: %v", id, list)
			}
		}
		return nil
	})
	s.Stop()

	clock.add(40 * time.Hour)
	s = servertest.Start(t, servertest.Options{Now: clock.now, DataDir: s.DataDir, Config: "retention: {audits: 2d}"})
	time.Sleep(50 * time.Millisecond)
	if r, err := audits(s).ListAudits(ctx, &watchwordv1.ListAuditsRequest{}); err != nil || len(r.GetAudits()) != 3 {
		t.Errorf("before the time: %v, %v", r, err)
	}
	s.Stop()
	clock.add(20 * time.Hour)
	s = servertest.Start(t, servertest.Options{Now: clock.now, DataDir: s.DataDir, Config: "retention: {audits: 2d}"})
	eventually(t, "the purge", 10*time.Second, func() error {
		r, err := audits(s).ListAudits(ctx, &watchwordv1.ListAuditsRequest{})
		for _, a := range r.GetAudits() {
			if a.GetId() == done || a.GetId() == open && a.GetState() != watchwordv1.Audit_STATE_CANCELLED {
				return fmt.Errorf("%s is %v", a.GetId(), a.GetState())
			}
		}
		if err == nil && len(r.GetAudits()) != 2 {
			t.Fatalf("%v are left, not the schedule and the upload that was cancelled", r.GetAudits())
		}
		return err
	})
	for id, event := range map[string]string{done: "audit.purge OK", open: "audit.end CANCELLED"} {
		if id == open {
			eventually(t, "the end of the upload", 10*time.Second, func() error {
				if list, _ := auditEvents(t, s, id); !slices.Contains(list, event) {
					return fmt.Errorf("%v", list)
				}
				return nil
			})
			continue
		}
		if _, err := audits(s).GetReport(ctx, &watchwordv1.GetReportRequest{Id: id, Format: watchwordv1.GetReportRequest_FORMAT_JSON}); status.Code(err) != codes.NotFound {
			t.Errorf("a report of what was dropped: %v", err)
		}
		eventually(t, "the event of the purge", 10*time.Second, func() error {
			if list, _ := auditEvents(t, s, id); !slices.Contains(list, event) {
				return fmt.Errorf("%v", list)
			}
			return nil
		})
	}
	if list, _ := auditEvents(t, s, scheduled); slices.Contains(list, "audit.purge OK") {
		t.Error("the schedule was dropped")
	}
}

// An audit guesses at every scheme there is: hashes of other programs are found
// by a login that is the password, and not by one that is none.
func TestAuditKnowsEveryScheme(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Config: firebase(t)})
	var list []*watchwordv1.AuditRecord
	for name, v := range vectors(t) {
		if len([]rune(v[0])) < 3 { // shorter than any name that is guessed
			continue
		}
		list = append(list, &watchwordv1.AuditRecord{Id: name, Hash: v[1], Context: &watchwordv1.PasswordContext{Login: v[0]}},
			&watchwordv1.AuditRecord{Id: "not-" + name, Hash: v[1], Context: &watchwordv1.PasswordContext{Login: otherCase(v[0]) + "x"}})
	}
	id := createAudit(t, s, &watchwordv1.CreateAuditRequest{Budget: &watchwordv1.AuditBudget{GuessesPerSubject: 3}})
	r, err := upload(t, s, id, 0, true, list...)
	if err != nil || int(r.GetAccepted()) != len(list) {
		t.Fatalf("%v, %v", r, err)
	}
	waitAudit(t, s, id)
	found := map[string]bool{}
	for _, f := range allFindings(t, s, id) {
		found[f.GetRecordId()] = found[f.GetRecordId()] || f.GetClass() == "same-as-login"
	}
	for _, r := range list {
		if want := !strings.HasPrefix(r.GetId(), "not-"); found[r.GetId()] != want {
			t.Errorf("%s, %.12s…: guessed %v, want %v", r.GetId(), r.GetHash(), found[r.GetId()], want)
		}
	}
}
