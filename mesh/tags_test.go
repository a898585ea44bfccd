package mesh

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
	"pgregory.net/rapid"
)

// encoded is how serf writes tags: one byte, and msgpack.
func encoded(t interface{ Fatal(...any) }, tags map[string]string) int {
	var b []byte
	if err := codec.NewEncoderBytes(&b, &codec.MsgpackHandle{}).Encode(tags); err != nil {
		t.Fatal(err)
	}
	return 1 + len(b)
}

func TestTagsAlwaysFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := peer.Capabilities{
			BPU: rapid.Float64().Draw(t, "bpu"), Cores: rapid.Float64().Draw(t, "cores"), Slots: rapid.Int().Draw(t, "slots"),
			OS: rapid.String().Draw(t, "os"), Arch: rapid.String().Draw(t, "arch"), API: rapid.String().Draw(t, "api"), Version: rapid.String().Draw(t, "version"),
			Toolchains: rapid.SliceOf(rapid.StringMatching(`[0-9a-f]{8}`)).Draw(t, "toolchains"),
		}
		tags := encodeTags(rapid.String().Draw(t, "host"), c)
		if n := encoded(t, tags); n > memberlist.MetaMaxSize {
			t.Fatalf("%d bytes: %q", n, tags)
		}
		got := decodeTags(tags)
		for i, x := range got.Toolchains {
			if x != c.Toolchains[i] {
				t.Fatalf("toolchains %v of %v", got.Toolchains, c.Toolchains)
			}
		}
	})
}

func TestTagsKeepWhatMatters(t *testing.T) {
	want := peer.Capabilities{
		BPU: 12.345, Cores: 128, Slots: 256, OS: "linux", Arch: "amd64", API: "192.168.100.100:9876", Version: "v1.2.3-0.20260101000000-abcdef123456",
	}
	for i := range 30 {
		want.Toolchains = append(want.Toolchains, fmt.Sprintf("%08x", i))
	}
	host := strings.Repeat("h", 63)
	tags := encodeTags(host, want)
	got := decodeTags(tags)
	if len(got.Toolchains) < 15 {
		t.Errorf("%d toolchains are left", len(got.Toolchains))
	}
	want.Toolchains = want.Toolchains[:len(got.Toolchains)]
	if !reflect.DeepEqual(got, want) || tags[tagHost] != host {
		t.Errorf("%+v of %q, want %+v", got, tags[tagHost], want)
	}
	if got := decodeTags(encodeTags("h", peer.Capabilities{BPU: math.NaN(), Cores: math.Inf(-1)})); got.BPU != 0 || got.Cores != 0 {
		t.Errorf("no numbers: %+v", got)
	}
}

func FuzzTags(f *testing.F) {
	f.Add(encodeTags("h", peer.Capabilities{BPU: 1})[tagCaps])
	f.Add(`[1,2,3,4,5,6,7,8,9]`)
	f.Add(`{"BPU":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		c := decodeTags(map[string]string{tagCaps: text})
		if math.IsNaN(c.Power()) {
			t.Errorf("%q gives no power", text)
		}
	})
}
