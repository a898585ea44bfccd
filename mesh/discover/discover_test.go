package discover

import (
	"bytes"
	"testing"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var tag = join.Tag{1, 2, 250}

func TestMessagesAreReadAsWritten(t *testing.T) {
	q, err := question(tag)
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(q); len(got.asked) != 1 || got.asked[0] != tag || len(got.announced) != 0 {
		t.Errorf("question: %+v", got)
	}
	a, err := answer(announcement{tag, 7946})
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(a); len(got.announced) != 1 || got.announced[0] != (announcement{tag, 7946}) || len(got.asked) != 0 {
		t.Errorf("answer: %+v", got)
	}
}

func TestOtherTrafficIsNothing(t *testing.T) {
	for _, q := range []dns.Question{
		{Name: "_buildnet._udp.local.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
		{Name: name(tag), Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		{Name: "_http._tcp.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		{Name: "zz" + name(tag)[2:], Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
	} {
		b, err := pack(&dns.Msg{Question: []dns.Question{q}})
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(b); len(got.asked)+len(got.announced) > 0 {
			t.Errorf("%s: %+v", q.Name, got)
		}
	}
	b, err := answer(announcement{tag, 0})
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(b); len(got.announced) > 0 {
		t.Errorf("port 0: %+v", got)
	}
}

func TestManyRecordsAreCut(t *testing.T) {
	var m dns.Msg
	for range 4 * maxRecords {
		m.Question = append(m.Question, dns.Question{Name: name(tag), Qtype: dns.TypeSRV, Qclass: dns.ClassINET})
	}
	m.Compress = true
	b, err := pack(&m)
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(b); len(got.asked) > maxRecords {
		t.Errorf("%d questions", len(got.asked))
	}
}

func FuzzParse(f *testing.F) {
	q, _ := question(tag)
	a, _ := answer(announcement{tag, 7946})
	f.Add(q)
	f.Add(a)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := parse(b)
		if len(m.asked) > maxRecords || len(m.announced) > maxRecords {
			t.Errorf("%d and %d records", len(m.asked), len(m.announced))
		}
		for _, x := range m.announced {
			again, err := answer(x)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(again, []byte("_buildnet")) || parse(again).announced[0] != x {
				t.Errorf("%+v does not come back", x)
			}
		}
	})
}
