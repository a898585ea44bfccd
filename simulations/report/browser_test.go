package report_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browserTime is far above what a browser takes to show a page.
const browserTime = 2 * time.Minute

// browser is headless Chromium; the test is skipped where there is none.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium, chromium-browser or google-chrome in PATH; `make deps-tests` installs one")
	return ""
}

// probe measures the plots of a page from within, and writes what it found into
// the document.
const probe = `{
  const plots = [...document.querySelectorAll(".plot")].map(p => {
    const r = p.getBoundingClientRect();
    return { id: p.id, x: r.x, y: r.y, width: r.width, height: r.height, marks: p.querySelectorAll("circle,polyline,line,text").length };
  });
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify({ plots, drawn: document.body.dataset.drawn, wide: document.documentElement.scrollWidth });
  document.body.append(pre);
}`

type plot struct {
	ID                  string
	X, Y, Width, Height float64
	Marks               int
}

type seen struct {
	Plots  []plot
	Drawn  string
	Wide   float64
	image  image.Image
	stderr string
}

const windowWidth, windowHeight = 1200, 4000

// open shows a page in the browser. The probe runs under the page's own policy,
// which must let it: its hash is added.
func open(t *testing.T, page []byte, flags ...string) (s seen) {
	t.Helper()
	chrome, dir := browser(t), t.TempDir()
	hash := sha256.Sum256([]byte(probe))
	allowed := bytes.Replace(page, []byte("; style-src"), []byte(html.EscapeString(" 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")+"; style-src"), 1)
	allowed = bytes.Replace(allowed, []byte("</body>"), []byte("<script>"+probe+"</script></body>"), 1)
	file, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(file, allowed, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserTime)
	defer cancel()
	args := append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--force-device-scale-factor=1",
		"--user-data-dir=" + filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,%d", windowWidth, windowHeight),
		"--virtual-time-budget=500", "--enable-logging=stderr", "--screenshot=" + shot, "--dump-dom",
	}, flags...)
	c := exec.CommandContext(ctx, chrome, append(args, "file://"+file)...)
	c.WaitDelay = 5 * time.Second
	var dom, talk bytes.Buffer
	c.Stdout, c.Stderr = &dom, &talk
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", chrome, err, talk.String())
	}
	found := regexp.MustCompile(`<pre id="probe">(.*?)</pre>`).FindSubmatch(dom.Bytes())
	if found == nil {
		t.Fatalf("the probe did not run\n%s", console(talk.String()))
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(string(found[1]))), &s); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s.image, err = png.Decode(f); err != nil {
		t.Fatal(err)
	}
	s.stderr = talk.String()
	return s
}

// console are the lines that a page caused.
func console(stderr string) string {
	var b strings.Builder
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "CONSOLE") || strings.Contains(line, "Uncaught") || strings.Contains(line, "Refused") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// colours counts the colours in a part of the screenshot.
func (s *seen) colours(p plot) int {
	found := map[color.Color]bool{}
	area := image.Rect(int(p.X), int(p.Y), int(p.X+p.Width), int(p.Y+p.Height)).Intersect(s.image.Bounds())
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			found[s.image.At(x, y)] = true
		}
	}
	return len(found)
}

// inked is the share of a part of the screenshot that is not of its most
// frequent colour.
func (s *seen) inked(p plot) float64 {
	count, all, most := map[color.Color]int{}, 0, 0
	area := image.Rect(int(p.X), int(p.Y), int(p.X+p.Width), int(p.Y+p.Height)).Intersect(s.image.Bounds())
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c := s.image.At(x, y)
			count[c]++
			all++
			most = max(most, count[c])
		}
	}
	if all == 0 {
		return 0
	}
	return 1 - float64(most)/float64(all)
}

// check demands that the plots are there, and something is drawn in each.
func (s *seen) check(t *testing.T, plots ...string) {
	t.Helper()
	if errors := console(s.stderr); errors != "" {
		t.Errorf("the console says:\n%s", errors)
	}
	if s.Wide > windowWidth {
		t.Errorf("the page is %g wide", s.Wide)
	}
	byID := map[string]plot{}
	for _, p := range s.Plots {
		byID[p.ID] = p
	}
	for _, id := range plots {
		p, ok := byID[id]
		if !ok || p.Width < 300 || p.Height < 40 {
			t.Errorf("plot %s: %+v", id, p)
			continue
		}
		if id != "timeline" && p.Marks < 3 {
			t.Errorf("plot %s has %d marks", id, p.Marks)
		}
		if p.Y+p.Height > windowHeight {
			t.Errorf("plot %s is below the screenshot: %+v", id, p)
			continue
		}
		if n, ink := s.colours(p), s.inked(p); n < 4 || ink < 0.002 {
			t.Errorf("plot %s is blank: %d colours, %.2f %% drawn", id, n, 100*ink)
		}
	}
}
