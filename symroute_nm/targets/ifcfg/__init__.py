"""Target "ifcfg": route-* and rule-* files for NetworkManager's dispatcher script (RHEL 7 to 9)."""
