#!/bin/sh
# Run in the machine at its bootstrap: lays a package in it, for the task to build.
mkdir -p /srv/hello
cat > /srv/hello/bbot-build << 'EOF'
#!/bin/sh
# Users of its own, as containers have and machines of QEMU have not.
grep -q 1610612736 /proc/self/uid_map || exit 1
echo "doing $1"
EOF
chmod 755 /srv/hello/bbot-build
