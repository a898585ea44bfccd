package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/node/project"
)

// shelves are the profiles that there are in a directory: those of its project,
// if it is in one, and those that the node knows.
type shelves struct {
	root   string // of the project, or ""
	asks   string // the profile that the project's configuration names, or ""
	node   api.Profiles
	mesh   *profile.Profile
	byName map[string]string // the node's own
}

func shelvesOf(ctx context.Context, s session, dir string) (*shelves, error) {
	known := &shelves{byName: map[string]string{}}
	var err error
	if known.node, err = s.Profiles(ctx); err != nil {
		return nil, err
	}
	for _, p := range known.node.Own {
		known.byName[p.Name] = p.Text
	}
	if m := known.node.Mesh; m != nil {
		p, err := profile.Parse("the mesh's profile", m.Profile)
		if err != nil {
			return nil, err
		}
		known.mesh = &p
	}
	known.root, err = config.ProjectRoot(dir)
	if errors.Is(err, config.ErrNoProject) {
		return known, nil
	}
	if err != nil {
		return nil, usage{err}
	}
	known.asks, err = projectAsks(known.root)
	return known, err
}

// projectAsks returns the profile that a configuration names. Its faults are
// the affair of a build.
func projectAsks(root string) (string, error) {
	for _, name := range config.ProjectFiles {
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the project's configuration: %w", err)
		}
		if c, _ := project.Parse(name, src); c != nil {
			return c.Profile(), nil
		}
		return "", nil
	}
	return "", nil
}

func (k *shelves) find(name string) (profile.Profile, error) {
	return profile.Find(name, k.ofProject, k.ofNode)
}

func (k *shelves) ofProject(name string) ([]byte, error) {
	if !slices.Contains(projectNames(k.root), name) {
		return nil, profile.ErrUnknown
	}
	src, err := os.ReadFile(profilePath(k.root, name))
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", name, err)
	}
	return src, nil
}

func (k *shelves) ofNode(name string) ([]byte, error) {
	text, ok := k.byName[name]
	if !ok {
		return nil, profile.ErrUnknown
	}
	return []byte(text), nil
}

// choose returns what holds for a build without flags.
func (k *shelves) choose() (profile.Chosen, error) {
	return profile.Choose(profile.Wishes{Project: k.asks, Node: k.node.Used, Mesh: k.mesh}, k.find)
}

// list returns all, those of the program first. One that is wrong is an error
// that names it. That the one is wrong or missing which a build here is to use
// is an error beside the list.
func (k *shelves) list() ([]listedProfile, error) {
	holds, wrong := k.choose()
	if wrong != nil {
		wrong = usage{wrong}
	}
	var all []listedProfile
	add := func(p profile.Profile, where string, holding bool) {
		one := listedProfile{Profile: p, Where: where}
		if holding {
			one.Holds, one.From = true, holds.From
		}
		all = append(all, one)
	}
	seen := map[string]bool{}
	for _, place := range []struct {
		where string
		names []string
	}{{"program", profile.Builtins()}, {"project", projectNames(k.root)}, {"machine", sortedKeys(k.byName)}} {
		for _, name := range place.names {
			if seen[name] {
				continue
			}
			seen[name] = true
			p, err := k.find(name)
			if err != nil {
				return nil, usage{err}
			}
			add(p, place.where, name == holds.Name && holds.From != profile.FromMesh)
		}
	}
	if k.mesh != nil {
		add(*k.mesh, "mesh", holds.From == profile.FromMesh)
	}
	return all, wrong
}

// textOf is a profile as the mesh is told.
func textOf(p profile.Profile) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode profile %s: %w", p.Name, err)
	}
	return string(text), nil
}
