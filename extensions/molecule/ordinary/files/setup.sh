#!/bin/sh
# Run in the machine at its bootstrap: lays a package in it, for the task to build.
mkdir -p /srv/hello
cat > /srv/hello/bbot-build << 'EOF'
#!/bin/sh
# Is let out (host_egress), but neither to the host nor to its neighbours.
for service in "172.30.254.1 22" "10.0.2.2 22" "198.18.91.2 22" "198.18.91.1 8091"; do
  if echo | nc -w 3 $service; then
    echo "reached $service" >&2
    exit 1
  fi
done
echo "doing $1"
EOF
chmod 755 /srv/hello/bbot-build
