clawdie_agent_enable="YES"
clawdie_agent_command="/usr/local/libexec/clawdie-agent/work"
