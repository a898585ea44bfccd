package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/build"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/node/profile/shelf"
	"github.com/buildnet/buildnet/sched/place"
)

// profiles are those of the home, and what holds for the mesh.
type profiles struct {
	*shelf.Shelf
	mesh *mesh.Mesh
	log  *slog.Logger
}

var _ build.Profiles = (*profiles)(nil)

// Mesh implements build.Profiles. What this version cannot read, as a newer one
// laid it down, does not hold here.
func (p *profiles) Mesh() *profile.Profile {
	laid := p.mesh.LaidDown()
	if laid == nil {
		return nil
	}
	got, err := profile.Parse("the mesh's profile", laid.Text)
	if err != nil {
		p.log.Warn("the mesh's profile is not used", "peer", laid.By, "error", err)
		return nil
	}
	return &got
}

// wishOf reads what a request says of the profile.
func wishOf(r api.BuildRequest) (build.Wish, error) {
	w := build.Wish{Profile: r.Profile}
	var errs []error
	if r.Strategy != "" {
		s, err := place.ParseStrategy(r.Strategy)
		w.Strategy, errs = &s, append(errs, err)
	}
	if r.Partition != "" {
		p, err := place.ParsePartition(r.Partition)
		w.Partition, errs = &p, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return w, &api.Error{Kind: api.Invalid, Message: err.Error()}
	}
	return w, nil
}

// Profiles implements api.Node.
func (o *offer) Profiles(context.Context) (api.Profiles, error) {
	p := o.parts.profiles
	all := api.Profiles{Own: []api.ProfileFile{}}
	names, err := p.Names()
	if err != nil {
		return all, err
	}
	for _, name := range names {
		text, err := p.Source(name)
		if err != nil {
			return all, err
		}
		all.Own = append(all.Own, api.ProfileFile{Name: name, Text: string(text)})
	}
	if all.Used, err = p.Used(); err != nil {
		return all, err
	}
	all.Mesh, err = o.meshProfile()
	return all, err
}

func (o *offer) meshProfile() (*api.MeshProfile, error) {
	laid, p := o.parts.mesh.LaidDown(), o.parts.profiles.Mesh()
	if laid == nil || p == nil {
		return nil, nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return &api.MeshProfile{Profile: text, By: string(laid.By), ByName: o.hostOf(laid.By), At: laid.At.UTC().Truncate(time.Second)}, nil
}

func (o *offer) hostOf(id peer.ID) string {
	for _, m := range o.parts.mesh.Members() {
		if m.ID == id {
			return m.Name
		}
	}
	return ""
}

// SaveProfile implements api.Node.
func (o *offer) SaveProfile(_ context.Context, r api.ProfileFile) (api.ProfileFile, error) {
	p, err := profile.Parse("profile", []byte(r.Text))
	if err != nil {
		return r, &api.Error{Kind: api.Invalid, Message: err.Error()}
	}
	if profile.IsBuiltin(p.Name) {
		return r, &api.Error{Kind: api.Conflict, Message: "profile " + p.Name + " comes with the program", Hint: "give yours another name"}
	}
	return api.ProfileFile{Name: p.Name, Text: r.Text}, o.parts.profiles.Save(p, []byte(r.Text))
}

// UseProfile implements api.Node.
func (o *offer) UseProfile(ctx context.Context, r api.UseProfileRequest) (api.Profiles, error) {
	if r.Name != "" {
		if _, err := profile.Find(r.Name, o.parts.profiles.Source); err != nil {
			return api.Profiles{}, &api.Error{Kind: api.Invalid, Message: err.Error()}
		}
	}
	if err := o.parts.profiles.Use(r.Name); err != nil {
		return api.Profiles{}, err
	}
	return o.Profiles(ctx)
}

// Distribute implements api.Node.
func (o *offer) Distribute(ctx context.Context, r api.DistributeRequest) (api.Profiles, error) {
	var text []byte
	if r.Text != "" {
		p, err := profile.Parse("profile", []byte(r.Text))
		if err == nil {
			text, err = p.Text()
		}
		if err != nil {
			return api.Profiles{}, &api.Error{Kind: api.Invalid, Message: err.Error()}
		}
	}
	if err := o.parts.mesh.LayDown(ctx, text); err != nil {
		return api.Profiles{}, err
	}
	return o.Profiles(ctx)
}
