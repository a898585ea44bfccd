package report

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
)

// The size of the picture of sites, in its own units.
const (
	mapWidth, mapHeight = 720., 420.
	mapRadius           = 150.
	// oneHeight is enough for one site.
	oneHeight = 110.
	// maxLabels is how many links are labelled in the picture; the table has all.
	maxLabels = 15
)

// place is a site in the picture.
type place struct {
	x, y, r             float64
	name                string
	nodes, slots, cells int
	lan                 network.Path
}

// places puts the sites on a ring.
func places(s *setting.Setting) []place {
	all := make([]place, len(s.Network.Sites))
	cells := make([]map[int]bool, len(all))
	for i := range cells {
		cells[i] = map[int]bool{}
	}
	for n, site := range s.Network.Site {
		all[site].nodes++
		all[site].slots += s.Nodes[n].Slots
		cells[site][s.Nodes[n].Cell] = true
	}
	for i := range all {
		p := &all[i]
		p.name, p.lan, p.cells = s.Network.Sites[i].Name, s.Network.Sites[i].Local, len(cells[i])
		p.r = 8 + 6*math.Log10(1+float64(p.nodes))
		angle := 2*math.Pi*float64(i)/float64(len(all)) - math.Pi/2
		p.x, p.y = mapWidth/2+1.5*mapRadius*math.Cos(angle), mapHeight/2+mapRadius*math.Sin(angle)
		if len(all) == 1 {
			p.x, p.y = mapWidth/2, oneHeight/3
		}
	}
	return all
}

// topology draws sites as nodes and routes as lines between them.
func topology(s *setting.Setting) string {
	var b strings.Builder
	sites, height := places(s), mapHeight
	if len(sites) == 1 {
		height = oneHeight
	}
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="sites and links">`, mapWidth, height)
	for i, r := range s.Network.Routes {
		p, q := sites[r.A], sites[r.B]
		fmt.Fprintf(&b, `<line class="route" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"><title>%s</title></line>`, p.x, p.y, q.x, q.y,
			html.EscapeString(p.name+" - "+q.name+": "+pathText(r.Path)))
		if len(s.Network.Routes) <= maxLabels {
			// Off the middle, or the labels of lines that cross would cover
			// each other.
			at := 0.42 + 0.08*float64(i%3)
			fmt.Fprintf(&b, `<text class="label" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, p.x+(q.x-p.x)*at, p.y+(q.y-p.y)*at-3, short(r.Latency))
		}
	}
	for _, p := range sites {
		fmt.Fprintf(&b, `<circle class="site" cx="%.1f" cy="%.1f" r="%.1f"><title>%s</title></circle>`, p.x, p.y, p.r, html.EscapeString(p.name+": "+pathText(p.lan)))
		anchor, x, y := "middle", p.x, p.y+p.r+16
		if len(sites) > 1 && p.y < mapHeight/2-1 {
			y = p.y - p.r - 22
		}
		fmt.Fprintf(&b, `<text class="title" x="%.1f" y="%.1f" text-anchor="%s">%s</text><text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`,
			x, y, anchor, html.EscapeString(p.name), x, y+15, anchor, html.EscapeString(fmt.Sprintf("%d nodes, %d slots, %s", p.nodes, p.slots, short(p.lan.Latency))))
	}
	b.WriteString("</svg>")
	return b.String()
}

// short is a latency with its unit.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return of(float64(d)/1e3, "µs")
	case d < time.Second:
		return of(float64(d)/1e6, "ms")
	default:
		return of(d.Seconds(), "s")
	}
}

// pathText says what a path does to bytes.
func pathText(p network.Path) string {
	text := short(p.Latency)
	if p.Jitter > 0 {
		text += " + 0 to " + short(p.Jitter)
	}
	text += ", " + of(8*p.Bandwidth, "bit/s")
	for _, c := range []struct {
		chance float64
		what   string
	}{{p.Loss, "lost"}, {p.Duplication, "doubled"}, {p.Reordering, "overtaken"}} {
		if c.chance > 0 {
			text += fmt.Sprintf(", %s %% %s", Short(100*c.chance), c.what)
		}
	}
	return text
}

// link is a line of the table of links.
type link struct{ Between, What string }

func links(s *setting.Setting) []link {
	var all []link
	for _, one := range s.Network.Sites {
		all = append(all, link{"within " + one.Name, pathText(one.Local)})
	}
	for _, r := range s.Network.Routes {
		all = append(all, link{s.Network.Sites[r.A].Name + " - " + s.Network.Sites[r.B].Name, pathText(r.Path)})
	}
	return all
}
