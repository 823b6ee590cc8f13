from tests.servers.mongod_fixture import mongodb_server, mongodb_url

__all__ = ["mongodb_server", "mongodb_url"]
