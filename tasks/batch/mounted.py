"""Where instances have the carried CLI, which each job sees there; host_cli.sh brings it."""

FOLDER = "/opt/airlock-cli"
CLI_PATH = f"{FOLDER}/bin/aws"
