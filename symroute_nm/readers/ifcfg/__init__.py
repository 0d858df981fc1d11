"""What NetworkManager's ifcfg-rh plugin and its dispatcher script read: profiles, route files."""
